"""The vocabulary of the tracker's queries."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from tracker.models import (
        DailyReport,
        Friendship,
        IdempotencyKey,
        PointsDay,
        Standing,
        Timer,
        TimerInterval,
        Todo,
    )


class TodoQuerySet(models.QuerySet["Todo"]):
    """Questions about many todos."""

    def of(self, user_id: UUID) -> Self:
        """Those of one user."""
        return self.filter(user_id=user_id)

    def open(self) -> Self:
        """Those that are still to be done."""
        return self.filter(completed_at=None)

    def done(self) -> Self:
        """Those that are completed."""
        return self.filter(completed_at__isnull=False)

    def completed_between(self, start: dt.datetime, end: dt.datetime) -> Self:
        """Those that were completed from `start` on and before `end`."""
        return self.filter(completed_at__gte=start, completed_at__lt=end)


class TimerQuerySet(models.QuerySet["Timer"]):
    """Questions about many timers."""

    def of(self, user_id: UUID) -> Self:
        """Those of one user."""
        return self.filter(user_id=user_id)

    def running(self) -> Self:
        """Those that count right now."""
        return self.filter(state="running")


class TimerIntervalQuerySet(models.QuerySet["TimerInterval"]):
    """Questions about many intervals in which a timer ran."""

    def of(self, user_id: UUID) -> Self:
        """Those of one user."""
        return self.filter(user_id=user_id)

    def overlapping(self, start: dt.datetime, end: dt.datetime) -> Self:
        """Those of which a part lies between `start` and `end`; open ones reach into the future."""
        return self.filter(Q(ended_at__gt=start) | Q(ended_at=None), started_at__lt=end)


class FriendshipQuerySet(models.QuerySet["Friendship"]):
    """Questions about many pairs of users."""

    def of(self, user_id: UUID) -> Self:
        """Pairs that this user belongs to."""
        return self.filter(Q(low_id=user_id) | Q(high_id=user_id))

    def between(self, one: UUID, other: UUID) -> Self:
        """The row of this pair, whoever asked."""
        return self.filter(low_id=min(one, other), high_id=max(one, other))

    def visible_to(self, user_id: UUID) -> Self:
        """What this user may know of: not that somebody else blocked them."""
        return self.of(user_id).exclude(
            Q(status="blocked"),
            Q(low_id=user_id, blocked_by_low=False) | Q(high_id=user_id, blocked_by_high=False),
        )

    def accepted(self) -> Self:
        """Pairs that are friends."""
        return self.filter(status="accepted")

    def blocked(self) -> Self:
        """Pairs of which one blocked the other."""
        return self.filter(status="blocked")


class DailyReportQuerySet(models.QuerySet["DailyReport"]):
    """Questions about many daily reports."""

    def of(self, user_id: UUID) -> Self:
        """Those of one user."""
        return self.filter(user_id=user_id)

    def between(self, first: dt.date, last: dt.date) -> Self:
        """Those of the days from `first` to `last`, both included."""
        return self.filter(day__gte=first, day__lte=last)


class StandingQuerySet(models.QuerySet["Standing"]):
    """Questions about many users' points."""

    def of(self, user_id: UUID) -> Self:
        """The row of one user."""
        return self.filter(user_id=user_id)


class PointsDayQuerySet(models.QuerySet["PointsDay"]):
    """Questions about the ledger."""

    def in_week_of(self, day: dt.date) -> Self:
        """Days of the ISO week that holds `day`."""
        monday = week_of(day)
        return self.filter(day__gte=monday, day__lt=monday + dt.timedelta(days=7))


class IdempotencyKeyQuerySet(models.QuerySet["IdempotencyKey"]):
    """Questions about remembered answers."""

    def older_than(self, moment: dt.datetime) -> Self:
        """Those that were given before `moment`."""
        return self.filter(created_at__lt=moment)


def week_of(day: dt.date) -> dt.date:
    """Return the Monday of the ISO week that holds `day`."""
    return day - dt.timedelta(days=day.weekday())
