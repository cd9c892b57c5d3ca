"""A user's points and when they last wrote: changed together with what they are for."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Now

from accounts.services import lock_users
from outbox.recording import record_event
from tracker.models import PointsDay, Standing


def touch(*, user_id: UUID) -> None:
    """Note that the user writes now, and lock their standing: their own writes come one by one.

    Takes an open transaction, whose end raises IntegrityError where the account is gone meanwhile:
    the foreign key sees to it without another query, and callers of the site are told 409.
    """
    Standing.objects.bulk_create(
        [Standing(user_id=user_id)],
        update_conflicts=True,
        unique_fields=["user"],
        update_fields=["wrote_at"],
    )


def touch_for_points(*, user_id: UUID) -> None:
    """Do the same, and lock the user before: the points may change."""
    lock_users([user_id])
    touch(user_id=user_id)


def add_points(*, user_id: UUID, points: int, completed_at: dt.datetime) -> None:
    """Give points (or, below zero, take them back) on the day of completion, in UTC.

    Call `touch_for_points` before, in the same transaction.
    """
    if not points:
        return
    day = completed_at.astimezone(dt.UTC).date()
    of_day = PointsDay.objects.filter(user_id=user_id, day=day)
    if not of_day.update(points=F("points") + points):
        PointsDay.objects.create(user_id=user_id, day=day, points=points)
    Standing.objects.of(user_id).update(total_points=F("total_points") + points, wrote_at=Now())
    record_event(aggregate_type="user", aggregate_id=user_id, event_type="user.points_changed")


def to_milliseconds(moment: dt.datetime) -> dt.datetime:
    """Cut what MongoDB would not keep, so that both stores hold the same moment."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
