"""Bulk rows: what people import, and the lists that imports are checked against.

Rows live in `data`. Users and customers live in the primary: their ids are kept here, as
loose keys.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from common.ids import uuid7
from databases.loose import KEEP, SET_NULL, GetParent, LooseForeignKey
from workspace.querysets import (
    UNFINISHED,
    ImportBatchQuerySet,
    ReferenceRowQuerySet,
    WorkspaceRowQuerySet,
)


class ImportBatch(models.Model):
    """One file that was, is or will be imported."""

    class Format(models.TextChoices):
        """How the file is written."""

        CSV = "csv", "CSV"
        JSON_LINES = "jsonl", "JSON lines"
        XLSX = "xlsx", "Excel"
        PARQUET = "parquet", "Parquet"

    class Status(models.TextChoices):
        """Pending, running, then one of three ends."""

        PENDING = "pending", "pending"
        RUNNING = "running", "running"
        COMPLETED = "completed", "completed"
        FAILED = "failed", "failed"
        CANCELED = "canceled", "canceled"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    source_name = models.CharField(max_length=255, help_text="The file's name as it was given.")
    format = models.CharField(max_length=8, choices=Format.choices, default=Format.CSV)
    options = models.JSONField(default=dict, blank=True, help_text="Delimiter, columns and so on.")
    size_bytes = models.PositiveBigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True, default="", help_text="Of the bytes.")
    created_by_id = LooseForeignKey(
        "accounts.User", on_parent_delete=KEEP, db_index=False, help_text="The id of a user."
    )
    get_created_by: GetParent
    customer_id = LooseForeignKey(
        "customers.BusinessEntity",
        on_parent_delete=SET_NULL,
        null=True,
        blank=True,
        help_text="The id of a business entity.",
    )
    get_customer: GetParent

    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    total_rows = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Empty until the file's end was seen."
    )
    imported_rows = models.PositiveBigIntegerField(default=0)
    rejected_rows = models.PositiveBigIntegerField(default=0)
    error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(
        null=True, blank=True, help_text="When the worker was last seen at it."
    )
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = ImportBatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "import batches"
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=(
                    Q(status__in=UNFINISHED, finished_at__isnull=True)
                    | Q(
                        status__in=["completed", "failed", "canceled"],
                        finished_at__isnull=False,
                    )
                ),
                name="workspace_import_finished_at",
            ),
            models.CheckConstraint(
                condition=Q(total_rows__isnull=True)
                | Q(total_rows__gte=F("imported_rows") + F("rejected_rows")),
                name="workspace_import_counts",
            ),
            models.CheckConstraint(
                condition=Q(sha256__regex=r"^([0-9a-f]{64})?$"), name="workspace_import_sha256"
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="workspace_import_newest"),
            models.Index(fields=["created_by_id", "-created_at"], name="workspace_import_by_user"),
            models.Index(
                fields=["heartbeat_at"],
                condition=Q(status="running"),
                name="workspace_import_running",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source_name} ({self.get_status_display()})"


class WorkspaceRow(models.Model):
    """One row of an imported file."""

    class Status(models.TextChoices):
        """What became of it."""

        IMPORTED = "imported", "imported"
        TRANSFORMED = "transformed", "transformed"
        REJECTED = "rejected", "rejected"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    batch = models.ForeignKey(ImportBatch, on_delete=models.CASCADE, related_name="rows")
    number = models.PositiveBigIntegerField(help_text="Its place in the file, from 1.")
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.IMPORTED)
    values = models.JSONField(default=dict, help_text="Column → value.")
    problems = models.JSONField(default=list, blank=True, help_text="Why it was rejected.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = WorkspaceRowQuerySet.as_manager()

    class Meta:
        ordering = ["batch", "number"]
        constraints = [
            # Also what reads a batch in order, and what makes an import safe to repeat.
            models.UniqueConstraint(fields=["batch", "number"], name="workspace_row_number_once"),
            models.CheckConstraint(
                condition=Q(number__gte=1), name="workspace_row_number_positive"
            ),
        ]
        indexes = [
            models.Index(
                fields=["batch", "number"],
                condition=Q(status="rejected"),
                name="workspace_row_rejected",
            ),
        ]

    def __str__(self) -> str:
        return f"row {self.number}"


class ReferenceRow(models.Model):
    """One entry of a list that imports are checked against, e.g. an industry code."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    # Not "dataset": the admin's theme keeps that name of a form field for itself.
    catalog = models.SlugField(max_length=60, help_text="The list, e.g. naics.", db_index=False)
    key = models.CharField(max_length=100)
    label = models.CharField(max_length=255)
    values = models.JSONField(default=dict, blank=True, help_text="Anything else about it.")
    valid_from = models.DateField()
    valid_to = models.DateField(null=True, blank=True, help_text="The first day without it.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = ReferenceRowQuerySet.as_manager()

    class Meta:
        ordering = ["catalog", "key", "-valid_from"]
        constraints = [
            models.UniqueConstraint(
                fields=["catalog", "key", "valid_from"],
                name="workspace_reference_once",
                violation_error_message="This entry exists already from that day on.",
            ),
            models.CheckConstraint(
                condition=Q(valid_to__isnull=True) | Q(valid_to__gt=F("valid_from")),
                name="workspace_reference_validity_order",
                violation_error_message="An entry must end after the day on which it begins.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.catalog}: {self.key} {self.label}"
