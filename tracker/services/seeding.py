"""Invented people and what they did, for development and benchmarks: fast, and with events."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice, pairwise
from typing import Any, Final
from uuid import UUID

from django.db import connections, models, router

from accounts.services import NewPerson, create_people
from common.ids import uuid7
from databases.transactions import atomic_for
from outbox.recording import record_event
from tracker.models import (
    DailyReport,
    Friendship,
    PointsDay,
    Standing,
    Timer,
    TimerInterval,
    Todo,
)
from tracker.services.standing import to_milliseconds

AT_ONCE: Final = 2_000
"""Rows of one transaction, and of its events."""
DAYS: Final = 60
FIRST: Final = (
    "Ada", "Björn", "Chloé", "Dmitri", "Elif", "Farah", "Grace", "Hiro", "Inês", "José", "Kofi",
    "Léa", "Mira", "Noor", "Olga", "Priya", "Quinn", "Rosa", "Søren", "Tomás", "Uma", "Vera",
    "Wen", "Xenia", "Yara", "Zoë",
)  # fmt: skip
LAST: Final = (
    "Alvarez", "Brown", "Čapek", "Diallo", "Eriksen", "Fischer", "García", "Haddad", "Ito",
    "Jansen", "Kovács", "Lindqvist", "Müller", "Nakamura", "O'Brien", "Papadopoulos", "Ramos",
    "Silva", "Tanaka", "Vogel", "Wang", "Yilmaz",
)  # fmt: skip
THINGS: Final = (
    "Call the bank", "Water the plants", "Write the report", "Book the train", "Fix the bicycle",
    "Read a chapter", "Clean the kitchen", "Plan the week", "Answer letters", "Go for a run",
)  # fmt: skip
TAGS: Final = ("home", "work", "health", "garden", "money")
TODO_COLUMNS: Final = (
    "id", "user_id", "title", "notes", "due_on", "priority", "tags", "points", "completed_at",
    "created_at", "updated_at",
)  # fmt: skip

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """What was made."""

    users: int
    todos: int
    timers: int
    friendships: int
    reports: int


def seed_tracker(
    *,
    users: int,
    todos: int,
    at: dt.datetime,
    events: bool = True,
    seed: int = 1,
    progress: Progress = lambda _what, _count: None,
) -> Seeded:
    """Add invented users, who cannot sign in, with todos, points, timers, friends and reports.

    :param todos: of all of them together.
    :param at: now; everything happened in the 60 days before.
    :param events: record an event per row, so that MongoDB gets it; users' own events come from a
        trigger in any case.
    :param seed: the same one invents the same.
    :param progress: told what was made and how many more, after each step.
    """
    chance = random.Random(seed)
    at = to_milliseconds(at)
    people: list[UUID] = []
    for some in _chunks(_people(users, chance)):
        people += create_people(people=some)
        progress("users", len(some))
    made = _todos(people, todos, at, chance, events=events, progress=progress)
    _points(people, events=events, progress=progress)
    rows = {
        "reports": _reports(people, at, chance),
        "friendships": _friendships(people, at),
        "timers": _timers(people, at, chance),
    }
    counts = {what: _write(some, events=events, progress=progress) for what, some in rows.items()}
    return Seeded(users=len(people), todos=made, **counts)


def _people(count: int, chance: random.Random) -> Iterator[NewPerson]:
    for _ in range(count):
        key = uuid7()
        yield NewPerson(
            id=key,
            email=f"seeded-{key.hex}@example.invalid",
            first_name=chance.choice(FIRST),
            last_name=chance.choice(LAST),
        )


def _todos(
    people: Sequence[UUID],
    count: int,
    at: dt.datetime,
    chance: random.Random,
    *,
    events: bool,
    progress: Progress,
) -> int:
    made = 0
    if not people:
        return made
    for some in _chunks(_todo_rows(people, count, at, chance)):
        with atomic_for("tracker"):
            _copy(Todo, TODO_COLUMNS, some)
            if events:
                for row in some:
                    record_event(
                        aggregate_type="todo", aggregate_id=row[0], event_type="todo.created"
                    )
        made += len(some)
        progress("todos", len(some))
    return made


def _todo_rows(
    people: Sequence[UUID], count: int, at: dt.datetime, chance: random.Random
) -> Iterator[tuple[Any, ...]]:
    for number in range(count):
        created = at - chance.random() * dt.timedelta(days=DAYS)
        done = chance.random() < 0.6
        completed = created + chance.random() * (at - created) if done else None
        yield (
            uuid7(),
            people[number % len(people)],
            chance.choice(THINGS),
            "",
            (created + dt.timedelta(days=chance.randint(1, 40))).date() if number % 3 else None,
            chance.choice(Todo.Priority.values),
            chance.sample(TAGS, number % 3),
            chance.choice((5, 10, 20, 50)),
            to_milliseconds(completed) if completed else None,
            to_milliseconds(created),
            to_milliseconds(created),
        )


def _copy(model: type[models.Model], columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    table = model._meta.db_table
    with (
        connections[router.db_for_write(model)].cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)


def _points(people: Sequence[UUID], *, events: bool, progress: Progress) -> None:
    """Count the ledger and the totals from the todos, a part of the users at a time."""
    for some in _chunks(iter(people)):
        done = Todo.objects.using(router.db_for_write(Todo)).done().filter(user_id__in=some)
        days: dict[tuple[UUID, dt.date], int] = {}
        totals = dict.fromkeys(some, 0)
        for user_id, moment, points in done.values_list("user_id", "completed_at", "points"):
            if moment is None:
                continue
            day = (user_id, moment.astimezone(dt.UTC).date())
            days[day] = days.get(day, 0) + points
            totals[user_id] += points
        with atomic_for("tracker"):
            PointsDay.objects.bulk_create(
                PointsDay(user_id=user_id, day=day, points=points)
                for (user_id, day), points in days.items()
            )
            Standing.objects.bulk_create(
                Standing(user_id=user_id, total_points=total) for user_id, total in totals.items()
            )
            if events:
                for user_id in some:
                    record_event(
                        aggregate_type="user",
                        aggregate_id=user_id,
                        event_type="user.points_changed",
                    )
        progress("days of points", len(days))


def _reports(
    people: Sequence[UUID], at: dt.datetime, chance: random.Random
) -> Iterator[DailyReport]:
    for user_id in people:
        for back in range(2):
            yield DailyReport(
                user_id=user_id,
                day=(at - dt.timedelta(days=back)).date(),
                hours=Decimal(chance.randint(0, 40)) / 4,
                mood=chance.randint(1, 5),
                created_at=at,
                updated_at=at,
            )


def _friendships(people: Sequence[UUID], at: dt.datetime) -> Iterator[Friendship]:
    # Version 7 ids rise as they are made: each one and the next are a pair in order.
    for low, high in pairwise(people):
        yield Friendship(
            low_id=low,
            high_id=high,
            asked_by_low=True,
            status=Friendship.Status.ACCEPTED,
            created_at=at,
            updated_at=at,
        )


def _timers(people: Sequence[UUID], at: dt.datetime, chance: random.Random) -> Iterator[Timer]:
    for user_id in people:
        started = to_milliseconds(at - dt.timedelta(days=chance.randint(1, 20)))
        seconds = chance.randint(60, 30_000)
        yield Timer(
            user_id=user_id,
            label=chance.choice(THINGS),
            state=Timer.State.STOPPED,
            started_at=started,
            counted_ms=seconds * 1000,
            stopped_at=started + dt.timedelta(seconds=seconds),
            updated_at=at,
        )


_AGGREGATES: Final[dict[type[models.Model], tuple[str, str]]] = {
    DailyReport: ("daily_report", "filed"),
    Friendship: ("friendship", "accepted"),
    Timer: ("timer", "stopped"),
}


def _write(rows: Iterator[Any], *, events: bool, progress: Progress) -> int:
    """Insert rows of one model, with their events; return how many."""
    total = 0
    for some in _chunks(rows):
        model = type(some[0])
        with atomic_for("tracker"):
            model._default_manager.bulk_create(some)
            if model is Timer:
                TimerInterval.objects.bulk_create(map(_interval, some))
            if events:
                aggregate, verb = _AGGREGATES[model]
                for row in some:
                    record_event(
                        aggregate_type=aggregate,
                        aggregate_id=row.pk,
                        event_type=f"{aggregate}.{verb}",
                    )
        total += len(some)
        progress(str(model._meta.verbose_name_plural), len(some))
    return total


def _interval(timer: Timer) -> TimerInterval:
    return TimerInterval(
        timer=timer,
        user_id=timer.user_id,
        started_at=timer.started_at,
        ended_at=timer.stopped_at,
    )


def _chunks(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while some := list(islice(rows, AT_ONCE)):
        yield some
