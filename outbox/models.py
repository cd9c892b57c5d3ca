"""The queue, what could not be delivered, and what delivery goes by. All in the primary."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class OutboxEvent(models.Model):
    """An event that waits for its sink. It is deleted as soon as the sink has it durably.

    The table's own key is (sink, shard, id), see the migration: one index serves claim and
    deletion. Rows are written by `outbox.recording` and by triggers, never through this model.
    """

    id = models.BigAutoField(primary_key=True)
    sink = models.CharField(max_length=32)
    shard = models.SmallIntegerField()
    aggregate_type = models.CharField(max_length=64)
    aggregate_id = models.CharField(max_length=64)
    type = models.CharField(max_length=96, db_column="event_type")
    schema = models.SmallIntegerField(default=1)
    payload = models.JSONField(null=True)
    headers = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    attempts = models.SmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True)
    """When a failed event is tried again; null for one that never failed."""
    error = models.TextField(default="")

    class Meta:
        verbose_name = "event"
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.type} {self.aggregate_id} ({self.id})"


class DeadLetter(models.Model):
    """An event that was tried too often. `outbox replay` puts it back."""

    id = models.BigIntegerField(primary_key=True)
    """The id that the event had."""
    sink = models.CharField(max_length=32)
    aggregate_type = models.CharField(max_length=64)
    aggregate_id = models.CharField(max_length=64)
    type = models.CharField(max_length=96)
    schema = models.SmallIntegerField()
    payload = models.JSONField(null=True)
    headers = models.JSONField(null=True)
    created_at = models.DateTimeField()
    attempts = models.SmallIntegerField()
    kind = models.CharField(max_length=128)
    """What went wrong, the same text for the same fault: alerts are told once per kind."""
    reason = models.TextField()
    failed_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-failed_at", "-id"]
        indexes = [
            models.Index(fields=["-failed_at", "-id"], name="outbox_dead_failed"),
            models.Index(
                fields=["sink", "aggregate_type", "aggregate_id"], name="outbox_dead_aggregate"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.aggregate_id} ({self.id})"


class DeliveredEvent(models.Model):
    """An event that was delivered; kept with OUTBOX_HISTORY only, for OUTBOX_RETENTION_DAYS."""

    id = models.BigIntegerField(primary_key=True)
    sink = models.CharField(max_length=32)
    aggregate_type = models.CharField(max_length=64)
    aggregate_id = models.CharField(max_length=64)
    event_type = models.CharField(max_length=96)
    schema = models.SmallIntegerField()
    payload = models.JSONField(null=True)
    headers = models.JSONField(null=True)
    created_at = models.DateTimeField()
    attempts = models.SmallIntegerField()
    """Those that failed before the one that succeeded."""
    delivered_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-delivered_at", "-id"]
        indexes = [models.Index(fields=["delivered_at", "id"], name="outbox_delivered_at")]

    def __str__(self) -> str:
        return f"{self.event_type} {self.aggregate_id} ({self.id})"


class DeliveryState(models.Model):
    """One row: the epoch of versions, and whether operators have paused delivery."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    epoch = models.BigIntegerField(default=1)
    server = models.CharField(max_length=64, default="")
    """System identifier and timeline of the server that gave out ids in this epoch: another one
    (a restore, a promotion) begins a new epoch, so that no id of its can look old."""
    paused_at = models.DateTimeField(null=True)
    paused_by = models.CharField(max_length=254, default="")
    reason = models.TextField(default="")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="outbox_state_single_row")
        ]

    def __str__(self) -> str:
        return f"epoch {self.epoch}"
