"""Daily reports: one per user and day, filed, filed anew, deleted."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from common.errors import PolystoreError
from databases.transactions import atomic_for
from outbox.events import MONGODB
from outbox.recording import record_event
from outbox.wake import hint_after_commit
from tracker.models import DailyReport
from tracker.services.standing import to_milliseconds, touch


class ReportNotFound(PolystoreError):
    """The user filed no report for that day."""

    code, status, title = "tracker.report_not_found", 404, "No report for this day"
    remedy = "File one with PUT /api/reports/daily/{day}."


class DayRefused(PolystoreError):
    """The day has not begun anywhere yet."""

    code, status, title = "tracker.day_refused", 422, "Day not possible"
    remedy = "File a report for today or an earlier day."


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """What `file_report` did."""

    report: DailyReport
    created: bool


def file_report(
    *,
    user_id: UUID,
    day: dt.date,
    hours: Decimal,
    at: dt.datetime,
    mood: int | None = None,
    notes: str = "",
) -> Filed:
    """File the user's report of a day, instead of an earlier one of the same day.

    :param at: now.
    :raises DayRefused: for days that have not begun anywhere on Earth.
    """
    at = to_milliseconds(at)
    if day > (at.astimezone(dt.UTC) + dt.timedelta(hours=14)).date():
        raise DayRefused(f"{day} has not begun yet.")
    with atomic_for("tracker"):
        touch(user_id=user_id)
        report, created = DailyReport.objects.select_for_update().get_or_create(
            user_id=user_id,
            day=day,
            defaults={
                "hours": hours, "mood": mood, "notes": notes, "created_at": at, "updated_at": at,
            },
        )  # fmt: skip
        if not created:
            report.hours, report.mood, report.notes, report.updated_at = hours, mood, notes, at
            report.save()
        record_event(
            aggregate_type="daily_report",
            aggregate_id=report.pk,
            event_type=f"daily_report.{'filed' if created else 'updated'}",
        )
    return Filed(report=report, created=created)


def delete_report(*, user_id: UUID, day: dt.date) -> None:
    """Delete the report of a day; the event comes from a trigger. Raises ReportNotFound."""
    with atomic_for("tracker"):
        touch(user_id=user_id)
        deleted, _ = DailyReport.objects.of(user_id).filter(day=day).delete()
        if not deleted:
            raise ReportNotFound("You filed no report for this day.")
        hint_after_commit(MONGODB)
