"""Documents, their versions, who may see them, and what was read out of them.

Rows live in `documents`; the bytes live in the file storage, by `storage_key`. Users and customers
live in the primary: their ids are kept here, as loose keys.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from common.ids import uuid7
from databases.loose import CASCADE, KEEP, SET_NULL, GetParent, LooseForeignKey
from documents.querysets import (
    DocumentActivityQuerySet,
    DocumentQuerySet,
    DocumentShareQuerySet,
    DocumentVersionQuerySet,
    ProcessingResultQuerySet,
)

SHA256 = r"^[0-9a-f]{64}$"


class Document(models.Model):
    """What people call a document: its name and standing, whatever its versions hold."""

    class Kind(models.TextChoices):
        """What it is about."""

        CONTRACT = "contract", "contract"
        REPORT = "report", "report"
        STATEMENT = "statement", "statement"
        IDENTIFICATION = "identification", "identification"
        CORRESPONDENCE = "correspondence", "correspondence"
        OTHER = "other", "other"

    class Status(models.TextChoices):
        """Draft, then active; archived is out of sight; deleted waits in the bin."""

        DRAFT = "draft", "draft"
        ACTIVE = "active", "active"
        ARCHIVED = "archived", "archived"
        DELETED = "deleted", "in the bin"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    title = models.CharField(max_length=255)
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.OTHER)
    description = models.TextField(blank=True, default="")
    # A document outlives the account of its owner; whoever takes it over changes this.
    owner_id = LooseForeignKey(
        "accounts.User", on_parent_delete=KEEP, db_index=False, help_text="The id of a user."
    )
    get_owner: GetParent
    customer_id = LooseForeignKey(
        "customers.BusinessEntity",
        on_parent_delete=SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        help_text="The id of the business entity that it is about.",
    )
    get_customer: GetParent

    status = models.CharField(max_length=8, choices=Status.choices, default=Status.DRAFT)
    retain_until = models.DateTimeField(
        null=True, blank=True, help_text="May be erased after this; empty: kept."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = DocumentQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(title=""), name="documents_document_title_given"),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="documents_document_newest"),
            models.Index(fields=["owner_id", "-created_at"], name="documents_document_by_owner"),
            models.Index(
                fields=["customer_id", "-created_at"],
                condition=Q(customer_id__isnull=False),
                name="documents_document_by_customer",
            ),
            models.Index(
                fields=["retain_until"],
                condition=Q(retain_until__isnull=False),
                name="documents_document_retention",
            ),
        ]

    def __str__(self) -> str:
        return self.title


class DocumentVersion(models.Model):
    """One state of a document's bytes; written once."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(help_text="Counts up from 1 within the document.")
    file_name = models.CharField(max_length=255)
    media_type = models.CharField(max_length=127, default="application/octet-stream")
    size_bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64, help_text="Of the bytes, in small hexadecimal digits.")
    storage_key = models.CharField(max_length=500, help_text="Where the file storage keeps it.")
    uploaded_by_id = LooseForeignKey(
        "accounts.User", on_parent_delete=KEEP, help_text="The id of a user."
    )
    get_uploaded_by: GetParent
    note = models.CharField(max_length=500, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = DocumentVersionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["document", "number"], name="documents_version_number_once"
            ),
            models.UniqueConstraint(
                fields=["storage_key"], name="documents_version_storage_key_once"
            ),
            models.CheckConstraint(
                condition=Q(number__gte=1), name="documents_version_number_positive"
            ),
            models.CheckConstraint(
                condition=Q(sha256__regex=SHA256), name="documents_version_sha256"
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="documents_version_newest"),
            models.Index(fields=["sha256"], name="documents_version_by_sha256"),
        ]

    def __str__(self) -> str:
        return f"{self.file_name} (version {self.number})"


class DocumentShare(models.Model):
    """Leave to see a document: for one user, or for whoever holds a link."""

    class Permission(models.TextChoices):
        """How far it goes."""

        VIEW = "view", "view"
        COMMENT = "comment", "comment"
        EDIT = "edit", "edit"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="shares")
    recipient_id = LooseForeignKey(
        "accounts.User",
        on_parent_delete=CASCADE,
        null=True,
        blank=True,
        help_text="The id of a user; empty for a link.",
    )
    get_recipient: GetParent
    token_sha256 = models.CharField(
        max_length=64, blank=True, default="", help_text="Of a link's secret, which is not kept."
    )
    permission = models.CharField(max_length=8, choices=Permission.choices, default=Permission.VIEW)
    shared_by_id = LooseForeignKey(
        "accounts.User", on_parent_delete=KEEP, help_text="The id of a user."
    )
    get_shared_by: GetParent

    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = DocumentShareQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=(
                    Q(recipient_id__isnull=False, token_sha256="")
                    | Q(recipient_id__isnull=True, token_sha256__regex=SHA256)
                ),
                name="documents_share_user_or_link",
                violation_error_message="A share is for a user or for a link, not both.",
            ),
            models.UniqueConstraint(
                fields=["document", "recipient_id"],
                condition=Q(revoked_at__isnull=True, recipient_id__isnull=False),
                name="documents_share_one_per_user",
                violation_error_message="This user has a share of the document already.",
            ),
            models.UniqueConstraint(
                fields=["token_sha256"],
                condition=~Q(token_sha256=""),
                name="documents_share_link_once",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__isnull=True) | Q(expires_at__gt=F("created_at")),
                name="documents_share_expires_later",
                violation_error_message="A share must expire after it was made.",
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="documents_share_newest"),
            models.Index(
                fields=["recipient_id"],
                condition=Q(revoked_at__isnull=True, recipient_id__isnull=False),
                name="documents_share_by_recipient",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.permission} for {self.recipient_id or 'a link'}"


class ProcessingResult(models.Model):
    """What one processor made of one version; workers write it."""

    class Processor(models.TextChoices):
        """What was done."""

        VIRUS_SCAN = "virus_scan", "virus scan"
        TEXT = "text", "text extraction"
        OCR = "ocr", "character recognition"
        PREVIEW = "preview", "preview"
        CLASSIFICATION = "classification", "classification"

    class Status(models.TextChoices):
        """Pending, running, then one of three ends."""

        PENDING = "pending", "pending"
        RUNNING = "running", "running"
        SUCCEEDED = "succeeded", "succeeded"
        FAILED = "failed", "failed"
        SKIPPED = "skipped", "skipped"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    version = models.ForeignKey(
        DocumentVersion, on_delete=models.CASCADE, related_name="processing_results"
    )
    processor = models.CharField(max_length=16, choices=Processor.choices)
    attempt = models.PositiveSmallIntegerField(default=1)

    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    output = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = ProcessingResultQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["version", "processor", "attempt"],
                name="documents_processing_attempt_once",
            ),
            models.CheckConstraint(
                condition=(
                    Q(status__in=["pending", "running"], finished_at__isnull=True)
                    | Q(status__in=["succeeded", "failed", "skipped"], finished_at__isnull=False)
                ),
                name="documents_processing_finished_at",
            ),
            models.CheckConstraint(
                condition=Q(attempt__gte=1), name="documents_processing_attempt_positive"
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="documents_processing_newest"),
            models.Index(
                fields=["processor", "created_at"],
                condition=Q(finished_at__isnull=True),
                name="documents_processing_queue",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_processor_display()}, attempt {self.attempt}: {self.status}"


class DocumentActivity(models.Model):
    """Who did what to which document, when; written once, and kept when the document goes."""

    class Deed(models.TextChoices):
        """What was done."""

        CREATED = "created", "created"
        VIEWED = "viewed", "viewed"
        DOWNLOADED = "downloaded", "downloaded"
        CHANGED = "changed", "changed"
        UPLOADED = "uploaded", "uploaded a version"
        SHARED = "shared", "shared"
        UNSHARED = "unshared", "revoked a share"
        ARCHIVED = "archived", "archived"
        RESTORED = "restored", "restored"
        DELETED = "deleted", "deleted"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    # Without a constraint: it stays when the document is erased, and may come before it.
    document = models.ForeignKey(
        Document,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="activity",
    )
    actor_id = LooseForeignKey(
        "accounts.User",
        on_parent_delete=KEEP,
        null=True,
        blank=True,
        db_index=False,
        help_text="The id of a user; empty: the site itself, or whoever holds a link.",
    )
    get_actor: GetParent
    deed = models.CharField(max_length=12, choices=Deed.choices)
    detail = models.JSONField(default=dict, blank=True, help_text="Never a secret.")
    request_id = models.CharField(max_length=64, blank=True, default="")
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = DocumentActivityQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "document activity"
        ordering = ["-occurred_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    deed__in=[
                        "created", "viewed", "downloaded", "changed", "uploaded", "shared",
                        "unshared", "archived", "restored", "deleted",
                    ]
                ),
                name="documents_activity_deed_known",
            ),
        ]  # fmt: skip
        indexes = [
            models.Index(fields=["-occurred_at", "-id"], name="documents_activity_newest"),
            models.Index(
                fields=["document", "-occurred_at"], name="documents_activity_by_document"
            ),
            models.Index(
                fields=["actor_id", "-occurred_at"],
                condition=Q(actor_id__isnull=False),
                name="documents_activity_by_actor",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_deed_display()} at {self.occurred_at:%Y-%m-%d %H:%M:%S}"
