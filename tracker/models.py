"""Todos, timers, friendships, daily reports and points. Rows live in the primary, beside users.

MongoDB shows copies of them (`tracker.projections`). Times are cut to milliseconds by the services,
as MongoDB keeps no more: both stores then give the same sums.
"""

from __future__ import annotations

import datetime as dt
import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from common.ids import uuid7
from tracker.querysets import (
    DailyReportQuerySet,
    FriendshipQuerySet,
    IdempotencyKeyQuerySet,
    PointsDayQuerySet,
    StandingQuerySet,
    TimerIntervalQuerySet,
    TimerQuerySet,
    TodoQuerySet,
)

MOST_POINTS = 1_000
MOST_TAGS = 20
LONGEST_TAG = 40


def tidy_tag(given: str) -> str:
    """Return a tag in small letters; never longer than it was, which lower() makes of an İ."""
    return given.strip().replace("İ", "i").lower()


class Todo(models.Model):
    """Something that a user wants to do, and the points that it is worth."""

    class Priority(models.TextChoices):
        """How much it matters."""

        LOW = "low", "low"
        NORMAL = "normal", "normal"
        HIGH = "high", "high"
        URGENT = "urgent", "urgent"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    title = models.CharField(max_length=200)
    notes = models.TextField(blank=True, default="")
    due_on = models.DateField(null=True, blank=True)
    priority = models.CharField(max_length=8, choices=Priority.choices, default=Priority.NORMAL)
    tags = ArrayField(models.CharField(max_length=LONGEST_TAG), default=list, blank=True)
    points = models.PositiveIntegerField(default=10)

    completed_at = models.DateTimeField(
        null=True, blank=True, help_text="Its points count on this day, in UTC. Empty: still open."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TodoQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(title=""), name="tracker_todo_title_given"),
            models.CheckConstraint(
                condition=Q(points__lte=MOST_POINTS), name="tracker_todo_points_bounded"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="tracker_todo_newest"),
            models.Index(
                fields=["user", "-id"], condition=Q(completed_at=None), name="tracker_todo_open"
            ),
            models.Index(
                fields=["user", "due_on"], condition=Q(completed_at=None), name="tracker_todo_due"
            ),
            # With its points, so that analytics read the index alone.
            models.Index(
                fields=["user", "completed_at"],
                include=["points"],
                condition=Q(completed_at__isnull=False),
                name="tracker_todo_completed",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def done(self) -> bool:
        """Whether it is completed."""
        return self.completed_at is not None


class Timer(models.Model):
    """A session of work whose time is measured; it may pause in between."""

    class State(models.TextChoices):
        """Running, paused, or stopped for good."""

        RUNNING = "running", "running"
        PAUSED = "paused", "paused"
        STOPPED = "stopped", "stopped"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    label = models.CharField(max_length=200, blank=True, default="")
    state = models.CharField(max_length=8, choices=State.choices, default=State.RUNNING)
    started_at = models.DateTimeField()
    running_since = models.DateTimeField(
        null=True, blank=True, help_text="When it last began to count; empty while it does not."
    )
    counted_ms = models.PositiveBigIntegerField(
        default=0, help_text="Milliseconds of all times in which it ran before that."
    )
    stopped_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = TimerQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(state="running"),
                name="tracker_timer_one_running",
                violation_error_message="Another timer of this user is running.",
            ),
            models.CheckConstraint(
                condition=(
                    Q(state="running", running_since__isnull=False, stopped_at=None)
                    | Q(state="paused", running_since=None, stopped_at=None)
                    | Q(state="stopped", running_since=None, stopped_at__isnull=False)
                ),
                name="tracker_timer_state_and_times",
            ),
        ]
        indexes = [models.Index(fields=["user", "-id"], name="tracker_timer_newest")]

    def __str__(self) -> str:
        return self.label or f"timer of {self.started_at:%Y-%m-%d %H:%M}"

    def total_seconds(self, *, at: dt.datetime) -> float:
        """Return how long it has run until `at`, pauses left out."""
        running = (at - self.running_since).total_seconds() if self.running_since else 0.0
        return round(self.counted_ms / 1000 + max(running, 0.0), 3)


class TimerInterval(models.Model):
    """A time in which a timer ran without a pause: what hours per day are told from."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    timer = models.ForeignKey(Timer, on_delete=models.CASCADE, related_name="intervals")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = TimerIntervalQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(ended_at=None), name="tracker_interval_one_open"
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=F("started_at")),
                name="tracker_interval_order",
            ),
        ]
        indexes = [models.Index(fields=["user", "started_at"], name="tracker_interval_by_time")]

    def __str__(self) -> str:
        return f"from {self.started_at:%Y-%m-%d %H:%M}"


class Friendship(models.Model):
    """How two users stand to each other: one row per pair, whoever asked."""

    class Status(models.TextChoices):
        """Asked, answered, or ended by a block."""

        PENDING = "pending", "pending"
        ACCEPTED = "accepted", "accepted"
        DECLINED = "declined", "declined"
        BLOCKED = "blocked", "blocked"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    # The smaller id of the two is `low`: then a pair has one possible row.
    low = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    high = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    asked_by_low = models.BooleanField(help_text="Whether the smaller id asked last.")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.PENDING)
    blocked_by_low = models.BooleanField(default=False)
    blocked_by_high = models.BooleanField(default=False)
    was_declined = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Before the one who asked blocked the other: unblocking does not let them ask.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = FriendshipQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["low", "high"], name="tracker_friendship_one_per_pair"),
            models.CheckConstraint(
                condition=Q(low__lt=F("high")), name="tracker_friendship_pair_in_order"
            ),
            models.CheckConstraint(
                condition=(Q(status="blocked") & (Q(blocked_by_low=True) | Q(blocked_by_high=True)))
                | (~Q(status="blocked") & Q(blocked_by_low=False, blocked_by_high=False)),
                name="tracker_friendship_blocked_by_somebody",
            ),
        ]
        indexes = [
            models.Index(fields=["low", "-id"], name="tracker_friendship_low"),
            models.Index(fields=["high", "-id"], name="tracker_friendship_high"),
        ]

    def __str__(self) -> str:
        return f"{self.low_id} and {self.high_id}: {self.get_status_display()}"

    def other(self, user_id: uuid.UUID) -> uuid.UUID:
        """Return the other one of the pair."""
        return self.high_id if user_id == self.low_id else self.low_id

    def asked_by(self, user_id: uuid.UUID) -> bool:
        """Tell whether this one asked."""
        return self.asked_by_low == (user_id == self.low_id)

    def blocked_by(self, user_id: uuid.UUID) -> bool:
        """Tell whether this one blocked the other."""
        return self.blocked_by_low if user_id == self.low_id else self.blocked_by_high


class DailyReport(models.Model):
    """What a user says about one day."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    day = models.DateField()
    hours = models.DecimalField(max_digits=4, decimal_places=2, help_text="0 to 24.")
    mood = models.PositiveSmallIntegerField(null=True, blank=True, help_text="1 (bad) to 5 (good).")
    notes = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = DailyReportQuerySet.as_manager()

    class Meta:
        ordering = ["-day"]
        constraints = [
            # Also what serves a user's list.
            models.UniqueConstraint(fields=["user", "day"], name="tracker_report_one_per_day"),
            models.CheckConstraint(
                condition=Q(hours__gte=0, hours__lte=24), name="tracker_report_hours_of_a_day"
            ),
            models.CheckConstraint(
                condition=Q(mood=None) | Q(mood__gte=1, mood__lte=5),
                name="tracker_report_mood_range",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.hours} h"


class Standing(models.Model):
    """A user's points in all, and when they last changed anything here."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", unique=True
    )
    total_points = models.PositiveBigIntegerField(default=0)
    wrote_at = models.DateTimeField(
        db_default=Now(),
        help_text="By the database's clock: tells whether MongoDB can have all of it by now.",
    )

    objects = StandingQuerySet.as_manager()

    class Meta:
        ordering = ["-total_points", "user"]
        indexes = [
            models.Index(
                fields=["-total_points", "user"],
                condition=Q(total_points__gt=0),
                name="tracker_standing_by_points",
            )
        ]

    def __str__(self) -> str:
        return f"{self.total_points} points"


class PointsDay(models.Model):
    """The ledger: what a user earned on one day, in UTC. Taking back changes that same day."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    day = models.DateField()
    points = models.PositiveBigIntegerField(default=0)

    objects = PointsDayQuerySet.as_manager()

    class Meta:
        verbose_name = "day of points"
        verbose_name_plural = "days of points"
        ordering = ["-day"]
        constraints = [
            models.UniqueConstraint(fields=["user", "day"], name="tracker_points_one_per_day")
        ]
        indexes = [
            models.Index(fields=["day", "user"], include=["points"], name="tracker_points_of_day")
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.points}"


class IdempotencyKey(models.Model):
    """The answer that a POST got, kept for a day in case that it is sent again."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of operation and body.")
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField()

    objects = IdempotencyKeyQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="tracker_key_once_per_user")
        ]
        indexes = [models.Index(fields=["created_at"], name="tracker_key_by_age")]

    def __str__(self) -> str:
        return f"{self.fingerprint[:12]}"
