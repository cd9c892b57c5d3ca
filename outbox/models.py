"""The queue, what could not be delivered, and what delivery goes by. All in the primary."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class OutboxEvent(models.Model):
    """An event that waits for its sink. It is deleted as soon as the sink has it durably.

    The table's own key is (sink, shard, id), see the migration: one index serves claim and
    deletion. Rows are written by `outbox.recording` and by triggers; through this model only dead
    letters come back.
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
        verbose_name = "waiting event"
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
        permissions = [("replay_deadletter", "Can put dead letters back")]
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
        verbose_name = "delivery"
        verbose_name_plural = "delivery"
        permissions = [("operate_delivery", "Can pause and resume delivery")]
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="outbox_state_single_row")
        ]

    def __str__(self) -> str:
        return f"epoch {self.epoch}"


class QueueSample(models.Model):
    """How delivery did in one minute, for the charts of the last two days."""

    minute = models.DateTimeField(primary_key=True)
    waiting = models.IntegerField()
    lag_seconds = models.FloatField()
    last_id = models.BigIntegerField()
    """The last id given out until then; less that of the sample before, it is what was recorded."""
    dead = models.IntegerField()
    retrying = models.IntegerField(default=0)
    paused = models.BooleanField(default=False)

    class Meta:
        ordering = ["minute"]

    def __str__(self) -> str:
        return f"{self.minute:%Y-%m-%d %H:%M}: {self.waiting} wait"


class VerificationProgress(models.Model):
    """How far a comparison of one projection came, for `verify_sync --resume`."""

    projection = models.CharField(max_length=64, primary_key=True)
    after = models.CharField(max_length=64, default="")
    """The last id that was compared."""
    since = models.DateTimeField(null=True)
    figures = models.JSONField(default=dict)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.projection} up to {self.after}"


class ProjectionState(models.Model):
    """What a projection's collection was built with, and the rebuild that is under way, if any."""

    projection = models.CharField(max_length=64, primary_key=True)
    schema = models.IntegerField(default=1)
    """Version of the shape that its documents have."""
    built_at = models.DateTimeField(null=True)
    shadow = models.CharField(max_length=120, default="")
    """The collection that is being built beside the live one; events flow to both."""
    identity = models.CharField(max_length=64, default="")
    """MongoDB's own name of that collection, which it keeps when it takes the live one's place."""
    shadow_schema = models.IntegerField(default=0)
    version = models.BigIntegerField(default=0)
    """Of all that is copied into it: lower than that of any event that is delivered meanwhile."""
    after = models.CharField(max_length=64, default="")
    """The last id that was copied."""
    copied = models.BigIntegerField(default=0)
    complete = models.BooleanField(default=False)
    """Everything is copied; what is left is to compare and to switch."""
    began_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.projection}, shape {self.schema}"
