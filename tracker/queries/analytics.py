"""What a user did, day by day in their own time zone: todos, points, hours, mood.

MongoDB answers while it has everything that the user wrote, PostgreSQL when it may not: each write
notes its time in the user's standing, and the outbox knows since when its oldest event waits. Both
stores give the same rows, and one function counts them.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from common.errors import PolystoreError
from databases.fallback import mongodb_or
from outbox.events import MONGODB
from outbox.watermark import gave_up, waiting_since
from tracker.models import DailyReport, Standing, TimerInterval, Todo
from tracker.stores import Activity, activity_of

MOST_DAYS: Final = 366
USUAL_DAYS: Final = 30
MARGIN: Final = dt.timedelta(seconds=35)
"""Longer than any transaction between its first statement and its events: one statement may take
30 seconds."""
HOUR: Final = 3_600
COUNTED: Final = ("todo", "timer", "daily_report")
"""The aggregates that the figures are made of."""


class RangeRefused(PolystoreError):
    """The days asked for are out of order, or too many."""

    code, status, title = "tracker.range_refused", 422, "Range not possible"
    remedy = f"Ask for at most {MOST_DAYS} days, the first not behind the last."


class TimeZoneUnknown(PolystoreError):
    """There is no time zone of this name."""

    code, status, title = "tracker.time_zone_unknown", 422, "Unknown time zone"
    remedy = "Send a name such as Europe/Vienna or UTC."


@dataclass(slots=True, kw_only=True)
class Day:
    """One day of the series."""

    day: dt.date
    todos_completed: int = 0
    points: int = 0
    hours_tracked: float = 0.0
    hours_reported: float | None = None
    mood: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The sums of all days; the mood is the mean of the days that have one."""

    todos_completed: int
    points: int
    hours_tracked: float
    hours_reported: float
    mood: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Analytics:
    """The answer."""

    first: dt.date
    last: dt.date
    timezone: str
    days: list[Day] = field(default_factory=list)
    totals: Totals


def analytics(
    *, user_id: UUID, first: dt.date, last: dt.date, timezone: str, at: dt.datetime
) -> Analytics:
    """Return what the user did on each of the days from `first` to `last`.

    :param timezone: in which days begin and end, a name of the IANA data base.
    :param at: now; a timer that runs counts until then.
    :raises RangeRefused: 422.
    :raises TimeZoneUnknown: 422.
    """
    if timezone not in available_timezones():
        raise TimeZoneUnknown("There is no such time zone.")
    # A day at either end of time has no neighbour in another time zone.
    if not dt.date(1970, 1, 2) <= first <= last <= dt.date(9999, 12, 29):
        raise RangeRefused("The first day must not lie behind the last, nor before 1970.")
    if (last - first).days >= MOST_DAYS:
        raise RangeRefused(f"These are more than {MOST_DAYS} days.")
    zone = ZoneInfo(timezone)
    start, end = _midnight(first, zone), _midnight(last + dt.timedelta(days=1), zone)
    span = {"user_id": user_id, "start": start, "end": end, "first": first, "last": last}

    def in_postgres() -> Activity:
        return _activity_in_postgres(**span)  # type: ignore[arg-type]  # each has its type

    if mongodb_has_all_of(user_id=user_id):
        activity = mongodb_or(lambda: activity_of(**span), in_postgres)  # type: ignore[arg-type]  # the same
    else:
        activity = in_postgres()
    days = _series(activity, first=first, last=last, zone=zone, at=at)
    return Analytics(first=first, last=last, timezone=timezone, days=days, totals=_totals(days))


def usual_first(last: dt.date) -> dt.date:
    """Return the first of the days that are shown where only the last one is known."""
    return max(last, dt.date(1970, 2, 1)) - dt.timedelta(days=USUAL_DAYS - 1)


def mongodb_has_all_of(*, user_id: UUID) -> bool:
    """Tell whether MongoDB has everything that the user wrote. May say no where it has."""
    wrote_at = Standing.objects.of(user_id).values_list("wrote_at", flat=True).first()
    if wrote_at is None:
        return True
    waiting = waiting_since(MONGODB)
    if waiting is not None and waiting <= wrote_at + MARGIN:
        return False
    return not gave_up(MONGODB, COUNTED)


def _activity_in_postgres(
    *, user_id: UUID, start: dt.datetime, end: dt.datetime, first: dt.date, last: dt.date
) -> Activity:
    completed = Todo.objects.of(user_id).completed_between(start, end).order_by()
    moments = completed.values_list("completed_at", "points")
    intervals = TimerInterval.objects.of(user_id).overlapping(start, end).order_by()
    reports = DailyReport.objects.of(user_id).between(first, last).order_by()
    return Activity(
        completed=[(moment, points) for moment, points in moments if moment],
        intervals=list(intervals.values_list("started_at", "ended_at")),
        reports=[
            (day.isoformat(), float(hours), mood)
            for day, hours, mood in reports.values_list("day", "hours", "mood")
        ],
    )


def _series(
    activity: Activity, *, first: dt.date, last: dt.date, zone: ZoneInfo, at: dt.datetime
) -> list[Day]:
    days = {
        day: Day(day=day)
        for day in (first + dt.timedelta(days=n) for n in range((last - first).days + 1))
    }
    for moment, points in activity.completed:
        # Where a zone moved over the date line, a moment of the span may show another date.
        day = days[min(max(moment.astimezone(zone).date(), first), last)]
        day.todos_completed += 1
        day.points += points
    milliseconds = dict.fromkeys(days, 0)
    for started, ended in activity.intervals:
        for date, share in _by_day(started, ended or max(at, started), zone):
            if date in milliseconds:
                milliseconds[date] += share
    for text, hours, mood in activity.reports:
        day = days[dt.date.fromisoformat(text)]
        day.hours_reported, day.mood = hours, mood
    for date, day in days.items():
        day.hours_tracked = round(milliseconds[date] / 1000 / HOUR, 4)
    return list(days.values())


def _by_day(started: dt.datetime, ended: dt.datetime, zone: ZoneInfo) -> list[tuple[dt.date, int]]:
    """Cut a time at every midnight of the zone; return the milliseconds of each day."""
    shares = []
    begin = started
    while begin < ended:
        date = begin.astimezone(zone).date()
        # Compared in UTC: where a zone is set back, Python counts an hour of its own as none.
        end = min(ended, _midnight(date + dt.timedelta(days=1), zone))
        if end <= begin:  # midnight itself was skipped or came twice
            end = ended
        shares.append((date, round((end - begin).total_seconds() * 1000)))
        begin = end
    return shares


def _midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    """Return when a day begins in the zone, in UTC."""
    return dt.datetime.combine(day, dt.time(), tzinfo=zone).astimezone(dt.UTC)


def _totals(days: list[Day]) -> Totals:
    moods = [day.mood for day in days if day.mood is not None]
    return Totals(
        todos_completed=sum(day.todos_completed for day in days),
        points=sum(day.points for day in days),
        hours_tracked=round(sum(day.hours_tracked for day in days), 4),
        hours_reported=round(sum(day.hours_reported or 0.0 for day in days), 2),
        mood=round(sum(moods) / len(moods), 2) if moods else None,
    )
