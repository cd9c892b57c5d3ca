"""What must be filed, what binds people, and who did what. Rows live in `compliance`.

Users, customers and documents live elsewhere: their ids are kept here, users' and customers' as
loose keys.
"""

from __future__ import annotations

import uuid
from typing import Any, NoReturn

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from common.ids import uuid7
from compliance.querysets import (
    OPEN,
    AuditRecordIsFinal,
    AuditRecordQuerySet,
    FilingQuerySet,
    LegalDocumentQuerySet,
)
from databases.loose import KEEP, SET_NULL, GetParent, LooseForeignKey


class Filing(models.Model):
    """Something that a customer has to file with an authority, for one period."""

    class Kind(models.TextChoices):
        """What is filed."""

        ANNUAL_REPORT = "annual_report", "annual report"
        TAX_RETURN = "tax_return", "tax return"
        FUND_CERTIFICATION = "fund_certification", "opportunity fund certification (Form 8996)"
        BENEFICIAL_OWNERSHIP = "beneficial_ownership", "beneficial ownership"
        LICENSE_RENEWAL = "license_renewal", "licence renewal"
        OTHER = "other", "other"

    class Status(models.TextChoices):
        """Draft, ready, submitted, then what the authority says."""

        DRAFT = "draft", "draft"
        READY = "ready", "ready to submit"
        SUBMITTED = "submitted", "submitted"
        ACCEPTED = "accepted", "accepted"
        REJECTED = "rejected", "rejected"
        WITHDRAWN = "withdrawn", "withdrawn"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    # What was filed is kept as long as the law wants it, whatever becomes of the customer.
    customer_id = LooseForeignKey(
        "customers.BusinessEntity",
        on_parent_delete=KEEP,
        db_index=False,
        help_text="The id of the business entity that files.",
    )
    get_customer: GetParent
    kind = models.CharField(max_length=20, choices=Kind.choices)
    jurisdiction = models.CharField(
        max_length=6, default="US", help_text="ISO 3166, e.g. US or US-CA."
    )
    period_starts_on = models.DateField()
    period_ends_on = models.DateField()
    due_on = models.DateField()
    responsible_id = LooseForeignKey(
        "accounts.User",
        on_parent_delete=SET_NULL,
        null=True,
        blank=True,
        help_text="The id of the user who sees to it.",
    )
    get_responsible: GetParent

    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DRAFT)
    submitted_at = models.DateTimeField(null=True, blank=True, editable=False)
    decided_at = models.DateTimeField(null=True, blank=True)
    reference = models.CharField(
        max_length=100, blank=True, default="", help_text="The authority's number for it."
    )
    fee_cents = models.PositiveBigIntegerField(default=0, help_text="In cents of the currency.")
    currency = models.CharField(max_length=3, default="USD", help_text="ISO 4217, e.g. USD.")
    notes = models.TextField(blank=True, default="")

    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = FilingQuerySet.as_manager()

    class Meta:
        ordering = ["due_on", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["customer_id", "kind", "jurisdiction", "period_ends_on"],
                condition=~Q(status__in=["rejected", "withdrawn"]),
                name="compliance_filing_once_per_period",
                violation_error_message="This filing exists already for that period.",
            ),
            models.CheckConstraint(
                condition=Q(period_ends_on__gte=F("period_starts_on")),
                name="compliance_filing_period_order",
                violation_error_message="The period must end after it starts.",
            ),
            models.CheckConstraint(
                condition=Q(status__in=[*OPEN, "withdrawn"]) | Q(submitted_at__isnull=False),
                name="compliance_filing_submitted_at",
                violation_error_message="Submit a filing by the action, which notes when.",
            ),
            models.CheckConstraint(
                condition=Q(jurisdiction__regex=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$"),
                name="compliance_filing_jurisdiction_code",
                violation_error_message="The jurisdiction is a code such as US or US-CA.",
            ),
            models.CheckConstraint(
                condition=Q(currency__regex=r"^[A-Z]{3}$"),
                name="compliance_filing_currency_code",
                violation_error_message="The currency is three capital letters, e.g. USD.",
            ),
        ]
        indexes = [
            models.Index(fields=["due_on", "id"], name="compliance_filing_by_due_date"),
            models.Index(
                fields=["due_on"],
                condition=Q(status__in=OPEN),
                name="compliance_filing_open",
            ),
            models.Index(fields=["customer_id", "-due_on"], name="compliance_filing_by_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ({self.jurisdiction}) to {self.period_ends_on}"


class LegalDocument(models.Model):
    """A text that binds people: terms, policies, agreements. Published, it no longer changes."""

    class Kind(models.TextChoices):
        """What it settles."""

        TERMS = "terms", "terms of service"
        PRIVACY = "privacy", "privacy policy"
        COOKIES = "cookies", "cookie policy"
        PROCESSING = "processing", "data processing agreement"
        CONSENT = "consent", "declaration of consent"
        OTHER = "other", "other"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    kind = models.CharField(max_length=12, choices=Kind.choices)
    locale = models.CharField(max_length=10, default="en", help_text="E.g. en or de-CH.")
    version = models.CharField(max_length=20, help_text="E.g. 2.1")
    title = models.CharField(max_length=200)
    body = models.TextField(help_text="CommonMark.")
    document_id = models.UUIDField(
        null=True, blank=True, help_text="The id of the signed original among the documents."
    )

    effective_from = models.DateTimeField(null=True, blank=True)
    published_at = models.DateTimeField(null=True, blank=True, editable=False)
    retired_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = LegalDocumentQuerySet.as_manager()

    class Meta:
        ordering = ["kind", "locale", "-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "locale", "version"], name="compliance_legal_version_once"
            ),
            models.CheckConstraint(
                condition=Q(published_at__isnull=True) | Q(effective_from__isnull=False),
                name="compliance_legal_published_is_effective",
                violation_error_message="A published text needs the time from which it holds.",
            ),
            models.CheckConstraint(
                condition=Q(retired_at__isnull=True) | Q(published_at__isnull=False),
                name="compliance_legal_retired_was_published",
            ),
        ]
        indexes = [
            models.Index(
                fields=["kind", "locale", "-effective_from"],
                condition=Q(published_at__isnull=False),
                name="compliance_legal_in_force",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} {self.version} ({self.locale})"

    @property
    def is_published(self) -> bool:
        """Whether it may no longer change."""
        return self.published_at is not None


class AuditRecord(models.Model):
    """Who did what to what, and how it ended. Written once, then final.

    The model and its queryset refuse changes with an error; PostgreSQL refuses them by a trigger
    (migration 0002), whoever sends the statement.
    """

    class ActorKind(models.TextChoices):
        """Who acted."""

        USER = "user", "user"
        CLIENT = "client", "API client"
        SYSTEM = "system", "system"

    class Outcome(models.TextChoices):
        """How it ended."""

        SUCCEEDED = "succeeded", "succeeded"
        REFUSED = "refused", "refused"
        FAILED = "failed", "failed"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    event_type = models.CharField(max_length=100, help_text="aggregate.verb_in_past")
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.SUCCEEDED)
    actor_kind = models.CharField(max_length=8, choices=ActorKind.choices, default=ActorKind.SYSTEM)
    actor_id = LooseForeignKey(
        "accounts.User",
        on_parent_delete=KEEP,
        null=True,
        blank=True,
        db_index=False,
        help_text="The id of the user or client.",
    )
    get_actor: GetParent
    subject_type = models.CharField(max_length=60, blank=True, default="")
    subject_id = models.CharField(max_length=64, blank=True, default="")
    remote_address = models.GenericIPAddressField(null=True, blank=True)
    request_id = models.CharField(max_length=64, blank=True, default="")
    detail = models.JSONField(default=dict, blank=True, help_text="Never a secret.")
    source_event_id = models.BigIntegerField(
        null=True, blank=True, help_text="The outbox event that told it: told twice, kept once."
    )
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = AuditRecordQuerySet.as_manager()

    class Meta:
        ordering = ["-occurred_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["source_event_id"],
                condition=Q(source_event_id__isnull=False),
                name="compliance_audit_event_told_once",
            ),
            models.CheckConstraint(
                condition=Q(actor_kind="system") | Q(actor_id__isnull=False),
                name="compliance_audit_actor_is_known",
            ),
            models.CheckConstraint(
                condition=Q(event_type__regex=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$"),
                name="compliance_audit_event_type_dotted",
            ),
        ]
        indexes = [
            models.Index(fields=["-occurred_at", "-id"], name="compliance_audit_newest"),
            models.Index(fields=["event_type", "-occurred_at"], name="compliance_audit_by_type"),
            models.Index(
                fields=["actor_id", "-occurred_at"],
                condition=Q(actor_id__isnull=False),
                name="compliance_audit_by_actor",
            ),
            models.Index(
                fields=["subject_type", "subject_id", "-occurred_at"],
                condition=~Q(subject_id=""),
                name="compliance_audit_by_subject",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} at {self.occurred_at:%Y-%m-%d %H:%M:%S}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; this function will refuse to save a record that is in the database already.

        :raises AuditRecordIsFinal: for a record that was read or saved before.
        """
        if not self._state.adding:
            raise AuditRecordIsFinal
        kwargs["force_insert"] = True
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse.

        :raises AuditRecordIsFinal: always.
        """
        raise AuditRecordIsFinal
