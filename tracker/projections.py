"""What MongoDB shows of the tracker: its own collections, and the points of `users`.

Documents hold ids and days as text, and times. A user's points of the week stand beside the Monday
that the week began with: a question about this week does not meet last week's points, though nobody
told MongoDB that a week ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.db import router
from django.db.models import Max, Model, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import TruncWeek

from accounts.queries import people
from databases.stores.mongo import Document, Index, declare_index
from outbox.registry import Projection, extend, subscribe
from tracker.models import (
    DailyReport,
    Friendship,
    PointsDay,
    Standing,
    Timer,
    TimerInterval,
    Todo,
)
from tracker.querysets import week_of

LISTED: Final = [("_live", 1), ("is_active", 1)]
INDEXES_OF_USERS: Final = (
    # All that a question names stands in the key, so that ranks are counted in the index alone.
    Index(collection="users", keys=[*LISTED, ("total_points", -1), ("_id", 1)]),
    Index(
        collection="users",
        keys=[*LISTED, ("week_start", 1), ("week_points", -1), ("_id", 1)],
    ),
    Index(collection="users", keys=[*LISTED, ("search_words", 1)]),
)


def connect() -> None:
    """Subscribe; safe to call twice."""
    subscribe(
        Projection(
            name="todos",
            aggregate_type="todo",
            load=lambda ids: {str(row.pk): _todo(row) for row in _rows(Todo, ids)},
            page=_pages(Todo),
            indexes=[
                Index(collection="todos", keys=[("user_id", 1), ("completed_at", 1)]),
                Index(collection="todos", keys=[("user_id", 1), ("_id", -1)]),
            ],
        )
    )
    subscribe(
        Projection(
            name="timers",
            aggregate_type="timer",
            load=load_timers,
            page=_pages(Timer),
            indexes=[Index(collection="timers", keys=[("user_id", 1), ("started_at", 1)])],
        )
    )
    subscribe(
        Projection(
            name="friendships",
            aggregate_type="friendship",
            load=lambda ids: {str(row.pk): _friendship(row) for row in _rows(Friendship, ids)},
            page=_pages(Friendship),
            indexes=[
                Index(collection="friendships", keys=[("low_id", 1), ("status", 1)]),
                Index(collection="friendships", keys=[("high_id", 1), ("status", 1)]),
            ],
        )
    )
    subscribe(
        Projection(
            name="daily_reports",
            aggregate_type="daily_report",
            load=lambda ids: {str(row.pk): _report(row) for row in _rows(DailyReport, ids)},
            page=_pages(DailyReport),
            indexes=[Index(collection="daily_reports", keys=[("user_id", 1), ("day", 1)])],
        )
    )
    extend("users", "tracker", load_points)
    for index in INDEXES_OF_USERS:
        declare_index(index)


def load_timers(ids: Sequence[str]) -> Mapping[str, Document]:
    """Return timers with the times in which they ran, in two queries."""
    documents = {str(row.pk): _timer(row) for row in _rows(Timer, ids)}
    of_these = _primary(TimerInterval).filter(timer_id__any_of=ids).order_by("started_at", "pk")
    for interval in of_these:
        document = documents.get(str(interval.timer_id))
        if document is not None:
            document["intervals"].append(
                {"started_at": interval.started_at, "ended_at": interval.ended_at}
            )
    return documents


def load_points(ids: Sequence[str]) -> Mapping[str, Document]:
    """Return what the leaderboard and the search need of users, in three queries."""
    keys = [UUID(key) for key in ids]
    totals = dict(
        _primary(Standing).filter(user_id__any_of=keys).values_list("user_id", "total_points")
    )
    weeks = {
        user_id: (week_of(last).isoformat(), points) for user_id, last, points in _last_weeks(keys)
    }
    documents: dict[str, Document] = {}
    for person in people(ids=keys).values():
        start, points = weeks.get(person.id, (None, 0))
        documents[str(person.id)] = {
            "search_name": person.search_name,
            "search_words": sorted(set(person.search_name.split())),
            "total_points": totals.get(person.id, 0),
            "week_start": start,
            "week_points": points,
        }
    return documents


def _last_weeks(user_ids: Sequence[UUID]) -> Any:
    """Return user, last day and points of the last week in which each of them earned any."""
    earned = _primary(PointsDay).filter(points__gt=0)
    monday = (
        earned.filter(user_id=OuterRef("user_id"))
        .order_by("-day")
        .values_list(TruncWeek("day"))[:1]
    )
    return (
        earned.filter(user_id__any_of=user_ids, day__gte=Subquery(monday))
        .order_by()
        .values("user_id")
        .annotate(last=Max("day"), earned=Sum("points"))
        .values_list("user_id", "last", "earned")
    )


def _primary(model: type[Model]) -> QuerySet[Any]:
    return model._default_manager.using(router.db_for_write(model))


def _rows(model: type[Model], ids: Sequence[str]) -> QuerySet[Any]:
    return _primary(model).filter(pk__any_of=ids)


def _pages(model: type[Model]) -> Callable[[str | None, int], Sequence[str]]:
    def page(after: str | None, limit: int) -> Sequence[str]:
        rows = _primary(model).order_by("pk")
        if after is not None:
            rows = rows.filter(pk__gt=after)
        return [str(key) for key in rows.values_list("pk", flat=True)[:limit]]

    return page


def _todo(row: Todo) -> Document:
    return {
        "user_id": str(row.user_id),
        "title": row.title,
        "notes": row.notes,
        "due_on": row.due_on.isoformat() if row.due_on else None,
        "priority": row.priority,
        "tags": list(row.tags),
        "points": row.points,
        "done": row.done,
        "completed_at": row.completed_at,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def _timer(row: Timer) -> Document:
    return {
        "user_id": str(row.user_id),
        "label": row.label,
        "state": row.state,
        "started_at": row.started_at,
        "running_since": row.running_since,
        "counted_ms": row.counted_ms,
        "stopped_at": row.stopped_at,
        "updated_at": row.updated_at,
        "intervals": [],
    }


def _friendship(row: Friendship) -> Document:
    return {
        "low_id": str(row.low_id),
        "high_id": str(row.high_id),
        "asked_by_low": row.asked_by_low,
        "status": row.status,
        "blocked_by_low": row.blocked_by_low,
        "blocked_by_high": row.blocked_by_high,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def _report(row: DailyReport) -> Document:
    return {
        "user_id": str(row.user_id),
        "day": row.day.isoformat(),
        "hours": float(row.hours),
        "mood": row.mood,
        "notes": row.notes,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
