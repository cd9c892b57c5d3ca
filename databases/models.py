"""What the multi-database machinery keeps in the primary."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from common.ids import uuid7


class Placement(models.Model):
    """The database where one app's rows live now, whatever the environment offers."""

    app_label = models.CharField(max_length=100, primary_key=True)
    alias = models.CharField(max_length=63)
    # Raised by every move, so that a process can tell a newer decision from its own.
    epoch = models.BigIntegerField(default=1)
    # True where an operator decided that older rows stay in the primary.
    left_existing = models.BooleanField(default=False)
    decided_at = models.DateTimeField(db_default=Now())

    class Meta:
        """One row per app."""

        ordering = ("app_label",)

    def __str__(self) -> str:
        """Return "documents on documents"."""
        return f"{self.app_label} on {self.alias}"


class BackupRun(models.Model):
    """One backup: who asked for it, what became of it."""

    class Origin(models.TextChoices):
        """Who began it."""

        API = "api", "a member of staff, through the API"
        SCHEDULE = "schedule", "the schedule"
        COMMAND = "command", "manage.py backup"

    class State(models.TextChoices):
        """Where it stands: queued, running, then done or failed."""

        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    origin = models.CharField(max_length=16, choices=Origin.choices)
    # Rows of users live above this app: an id, and no relation.
    requested_by: models.UUIDField[uuid.UUID | None, uuid.UUID | None] = models.UUIDField(
        null=True, help_text="The user who asked for it through the API."
    )
    state = models.CharField(max_length=16, choices=State.choices, default=State.QUEUED)
    # 1 while it is queued or running, so that the database lets only one be.
    slot = models.PositiveSmallIntegerField(null=True, unique=True, editable=False)

    requested_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    folder = models.CharField(max_length=1000, default="", blank=True)
    stores = models.CharField(max_length=500, default="", blank=True)
    size_bytes = models.BigIntegerField(null=True)
    error = models.TextField(default="", blank=True)

    class Meta:
        """The newest first."""

        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(
                condition=Q(slot=1, state__in=("queued", "running"), ended_at=None)
                | Q(slot=None, state__in=("done", "failed"), ended_at__isnull=False),
                name="databases_backuprun_slot",
            )
        ]

    def __str__(self) -> str:
        """Return "backup 0199… (done)"."""
        return f"backup {self.id} ({self.state})"
