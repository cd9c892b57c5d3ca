"""What happened, and the figures made of it. Rows live in `analytics`.

Users and customers live in the primary: their ids are kept here, as loose keys.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from analytics.querysets import (
    ActivityEventQuerySet,
    BusinessMetricQuerySet,
    PerformanceMetricQuerySet,
)
from common.ids import uuid7
from databases.loose import KEEP, SET_NULL, GetParent, LooseForeignKey


class ActivityEvent(models.Model):
    """Something that somebody did; written once, never changed."""

    class Source(models.TextChoices):
        """Through which door it came."""

        WEB = "web", "web"
        API = "api", "API"
        TASK = "task", "background task"
        ADMIN = "admin", "admin"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    name = models.CharField(max_length=100, help_text="aggregate.verb_in_past, e.g. page.viewed")
    source = models.CharField(max_length=8, choices=Source.choices, default=Source.WEB)
    user_id = LooseForeignKey(
        "accounts.User",
        on_parent_delete=SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        help_text="Empty: nobody was signed in, or the user is deleted.",
    )
    get_user: GetParent
    customer_id = LooseForeignKey(
        "customers.BusinessEntity",
        on_parent_delete=SET_NULL,
        null=True,
        blank=True,
        db_index=False,
    )
    get_customer: GetParent
    subject_type = models.CharField(
        max_length=60, blank=True, default="", help_text="What it was done to, e.g. document."
    )
    subject_id = models.CharField(max_length=64, blank=True, default="")
    request_id = models.CharField(max_length=64, blank=True, default="")
    properties = models.JSONField(default=dict, blank=True)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = ActivityEventQuerySet.as_manager()

    class Meta:
        ordering = ["-occurred_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(name__regex=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$"),
                name="analytics_event_name_dotted",
            ),
            models.CheckConstraint(
                condition=Q(subject_id="") | ~Q(subject_type=""),
                name="analytics_event_subject_has_type",
            ),
        ]
        indexes = [
            models.Index(fields=["-occurred_at", "-id"], name="analytics_event_newest"),
            models.Index(fields=["name", "-occurred_at"], name="analytics_event_by_name"),
            models.Index(
                fields=["user_id", "-occurred_at"],
                condition=Q(user_id__isnull=False),
                name="analytics_event_by_user",
            ),
            models.Index(
                fields=["customer_id", "-occurred_at"],
                condition=Q(customer_id__isnull=False),
                name="analytics_event_by_customer",
            ),
            models.Index(
                fields=["subject_type", "subject_id", "-occurred_at"],
                condition=~Q(subject_id=""),
                name="analytics_event_by_subject",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} at {self.occurred_at:%Y-%m-%d %H:%M:%S}"


class BusinessMetric(models.Model):
    """One figure of the business over one period: computed, or entered by hand."""

    class Unit(models.TextChoices):
        """What the value counts."""

        COUNT = "count", "count"
        CENTS = "cents", "cents of the currency"
        RATIO = "ratio", "ratio"
        SECONDS = "seconds", "seconds"

    class Period(models.TextChoices):
        """How long the period is."""

        HOUR = "hour", "hour"
        DAY = "day", "day"
        WEEK = "week", "week"
        MONTH = "month", "month"
        QUARTER = "quarter", "quarter"
        YEAR = "year", "year"

    class Source(models.TextChoices):
        """Who writes it; what is computed is not changed by hand."""

        COMPUTED = "computed", "computed"
        MANUAL = "manual", "entered by hand"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    name = models.CharField(max_length=100, help_text="E.g. revenue.recurring")
    # Kept: without it a customer's figure would become one of the site.
    customer_id = LooseForeignKey(
        "customers.BusinessEntity",
        on_parent_delete=KEEP,
        null=True,
        blank=True,
        help_text="Empty: all customers.",
    )
    get_customer: GetParent
    dimension = models.CharField(
        max_length=100, blank=True, default="", help_text="Which part of it, e.g. plan:starter"
    )
    period = models.CharField(max_length=8, choices=Period.choices, default=Period.DAY)
    period_starts_at = models.DateTimeField()

    value = models.DecimalField(max_digits=24, decimal_places=6)
    unit = models.CharField(max_length=8, choices=Unit.choices, default=Unit.COUNT)
    currency = models.CharField(
        max_length=3, blank=True, default="", help_text="ISO 4217, only where the unit is cents."
    )
    source = models.CharField(
        max_length=8, choices=Source.choices, default=Source.COMPUTED, editable=False
    )

    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = BusinessMetricQuerySet.as_manager()

    class Meta:
        ordering = ["-period_starts_at", "name", "id"]
        constraints = [
            # Two partial constraints: a NULL customer would make every row different from all.
            models.UniqueConstraint(
                fields=["name", "period", "period_starts_at", "dimension", "customer_id"],
                condition=Q(customer_id__isnull=False),
                name="analytics_metric_once_per_customer",
                violation_error_message="This figure is known already for that period.",
            ),
            models.UniqueConstraint(
                fields=["name", "period", "period_starts_at", "dimension"],
                condition=Q(customer_id__isnull=True),
                name="analytics_metric_once_for_the_site",
                violation_error_message="This figure is known already for that period.",
            ),
            models.CheckConstraint(
                condition=(
                    Q(unit="cents", currency__regex=r"^[A-Z]{3}$")
                    | (~Q(unit="cents") & Q(currency=""))
                ),
                name="analytics_metric_currency_for_cents",
                violation_error_message="Cents need a currency of three capital letters; "
                "other units have none.",
            ),
        ]
        indexes = [
            models.Index(fields=["-period_starts_at", "name", "id"], name="analytics_metric_newest")
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.period_starts_at:%Y-%m-%d} ({self.period})"

    @property
    def is_manual(self) -> bool:
        """Whether people keep it."""
        return self.source == self.Source.MANUAL


class PerformanceMetric(models.Model):
    """How long something took within one window of time, on one process or machine."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    name = models.CharField(max_length=100, help_text="E.g. http.request")
    target = models.CharField(
        max_length=200, blank=True, default="", help_text="Route, task or database alias."
    )
    instance = models.CharField(max_length=100, blank=True, default="", help_text="Who measured.")
    window_starts_at = models.DateTimeField()
    window_seconds = models.PositiveIntegerField(default=60)

    sample_count = models.PositiveBigIntegerField()
    error_count = models.PositiveBigIntegerField(default=0)
    mean_ms = models.FloatField()
    p50_ms = models.FloatField()
    p95_ms = models.FloatField()
    p99_ms = models.FloatField()
    max_ms = models.FloatField()
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = PerformanceMetricQuerySet.as_manager()

    class Meta:
        ordering = ["-window_starts_at", "name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["name", "target", "instance", "window_starts_at", "window_seconds"],
                name="analytics_performance_window_once",
            ),
            models.CheckConstraint(
                condition=Q(sample_count__gte=1, window_seconds__gte=1)
                & Q(error_count__lte=F("sample_count")),
                name="analytics_performance_counts",
            ),
            models.CheckConstraint(
                condition=Q(p50_ms__gte=0)
                & Q(p50_ms__lte=F("p95_ms"))
                & Q(p95_ms__lte=F("p99_ms"))
                & Q(p99_ms__lte=F("max_ms")),
                name="analytics_performance_percentiles_rise",
            ),
        ]
        indexes = [
            models.Index(fields=["-window_starts_at", "name", "id"], name="analytics_perf_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.target} at {self.window_starts_at:%Y-%m-%d %H:%M:%S}"
