"""Business entities and what they subscribe to. Rows live in the primary, beside users."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from common.ids import uuid7
from customers.querysets import LIVE, BusinessEntityQuerySet, SubscriptionQuerySet


class BusinessEntity(models.Model):
    """An organisation that we do business with."""

    class Kind(models.TextChoices):
        """Its legal form."""

        CORPORATION = "corporation", "corporation"
        LLC = "llc", "limited liability company"
        PARTNERSHIP = "partnership", "partnership"
        SOLE_PROPRIETORSHIP = "sole_proprietorship", "sole proprietorship"
        NONPROFIT = "nonprofit", "nonprofit organisation"
        OPPORTUNITY_FUND = "opportunity_fund", "qualified opportunity fund"
        OTHER = "other", "other"

    class Status(models.TextChoices):
        """Where the relation stands: prospect, active, suspended for a while, closed for good."""

        PROSPECT = "prospect", "prospect"
        ACTIVE = "active", "active"
        SUSPENDED = "suspended", "suspended"
        CLOSED = "closed", "closed"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    legal_name = models.CharField(max_length=200)
    trading_name = models.CharField(max_length=200, blank=True, default="")
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.OTHER)
    country = models.CharField(
        max_length=2, default="US", help_text="Two letters of ISO 3166-1, e.g. US."
    )
    registration_number = models.CharField(
        max_length=64, blank=True, default="", help_text="In the country's public register."
    )

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="business_entities",
        help_text="The user who speaks for it.",
    )
    contact_email = models.EmailField(blank=True, default="")
    contact_phone = models.CharField(max_length=32, blank=True, default="")
    address = models.TextField(blank=True, default="")
    website = models.URLField(blank=True, default="")

    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PROSPECT)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = BusinessEntityQuerySet.as_manager()

    class Meta:
        verbose_name = "business entity"
        verbose_name_plural = "business entities"
        ordering = ["legal_name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["country", "registration_number"],
                condition=~Q(registration_number=""),
                name="customers_entity_registered_once",
                violation_error_message="An entity with this registration number exists already.",
            ),
            models.CheckConstraint(
                condition=Q(country__regex=r"^[A-Z]{2}$"),
                name="customers_entity_country_code",
                violation_error_message="The country is two capital letters, e.g. US.",
            ),
            models.CheckConstraint(
                condition=~Q(legal_name=""), name="customers_entity_legal_name_given"
            ),
        ]
        indexes = [
            models.Index(fields=["legal_name", "id"], name="customers_entity_by_name"),
            models.Index(fields=["status", "-created_at"], name="customers_entity_by_status"),
        ]

    def __str__(self) -> str:
        return self.trading_name or self.legal_name


class Subscription(models.Model):
    """What a business entity pays for, over time."""

    class Plan(models.TextChoices):
        """What is sold."""

        STARTER = "starter", "Starter"
        PROFESSIONAL = "professional", "Professional"
        ENTERPRISE = "enterprise", "Enterprise"

    class Status(models.TextChoices):
        """Where it stands; the first three give access."""

        TRIALING = "trialing", "on trial"
        ACTIVE = "active", "active"
        PAST_DUE = "past_due", "payment is overdue"
        CANCELED = "canceled", "canceled"
        ENDED = "ended", "ended"

    class Interval(models.TextChoices):
        """How often it is paid."""

        MONTH = "month", "monthly"
        YEAR = "year", "yearly"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    entity = models.ForeignKey(
        BusinessEntity, on_delete=models.PROTECT, related_name="subscriptions"
    )
    plan = models.CharField(max_length=16, choices=Plan.choices)
    seats = models.PositiveIntegerField(default=1)
    price_cents = models.PositiveBigIntegerField(help_text="Per interval, for all seats, in cents.")
    currency = models.CharField(max_length=3, default="USD", help_text="ISO 4217, e.g. USD.")
    interval = models.CharField(max_length=8, choices=Interval.choices, default=Interval.MONTH)

    status = models.CharField(max_length=10, choices=Status.choices, default=Status.TRIALING)
    trial_ends_at = models.DateTimeField(null=True, blank=True)
    current_period_starts_at = models.DateTimeField(db_default=Now())
    current_period_ends_at = models.DateTimeField()
    canceled_at = models.DateTimeField(null=True, blank=True, editable=False)
    external_reference = models.CharField(
        max_length=100, blank=True, default="", help_text="Its id at the payment provider."
    )

    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["entity"],
                condition=Q(status__in=LIVE),
                name="customers_subscription_one_live",
                violation_error_message="This entity has a live subscription already.",
            ),
            models.UniqueConstraint(
                fields=["external_reference"],
                condition=~Q(external_reference=""),
                name="customers_subscription_reference_once",
            ),
            models.CheckConstraint(condition=Q(seats__gte=1), name="customers_subscription_seats"),
            models.CheckConstraint(
                condition=Q(currency__regex=r"^[A-Z]{3}$"),
                name="customers_subscription_currency_code",
                violation_error_message="The currency is three capital letters, e.g. USD.",
            ),
            models.CheckConstraint(
                condition=Q(current_period_ends_at__gt=F("current_period_starts_at")),
                name="customers_subscription_period_order",
                violation_error_message="The period must end after it starts.",
            ),
            models.CheckConstraint(
                condition=~Q(status="canceled") | Q(canceled_at__isnull=False),
                name="customers_subscription_canceled_at",
                violation_error_message="Cancel a subscription by the action, which notes when.",
            ),
        ]
        indexes = [
            models.Index(
                fields=["current_period_ends_at"],
                condition=Q(status__in=LIVE),
                name="customers_subscription_renewal",
            ),
            models.Index(fields=["-created_at", "-id"], name="customers_subscription_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.get_plan_display()} of {self.entity}"

    @property
    def is_live(self) -> bool:
        """Whether it gives access."""
        return self.status in LIVE
