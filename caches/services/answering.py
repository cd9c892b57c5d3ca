"""Answers to callers: from memory, else from the database, else from what can be had without it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from caches.queries import index, lookup
from caches.queries.answers import Answer, Result
from caches.queries.figures import ANSWERS
from caches.queries.points import Point
from caches.services import holding
from caches.services.holding import Held
from databases import causality, placement
from databases.breaker import AliasUnavailable
from databases.fallback import falls_back_to

APP = "caches"


def check(point: Point, as_of: dt.date, program: str | None) -> Answer:
    """Return whether a point lies in a zone that is in force on a day.

    :raises django.db.OperationalError: when neither memory nor database nor source answers.
    """
    held = ready()
    if held is None:
        answer = _check_in_database(point, as_of, program)
    else:
        answer = index.look_up(held.indexes, point, as_of, program)
    _count(answer.result, held, 1)
    return answer


def check_many(points: Sequence[Point], as_of: dt.date, program: str | None) -> list[Answer]:
    """Return the answer for each point, in their order.

    :raises django.db.OperationalError: as `check` does.
    """
    held = ready()
    if held is None:
        answers = _check_many_in_database(points, as_of, program)
    else:
        answers = index.look_up_many(held.indexes, points, as_of, program)
    for result, count in Counter(answer.result for answer in answers).items():
        _count(result, held, count)
    return answers


def _count(result: Result, held: Held | None, count: int) -> None:
    """Count answers by what gave them: memory (and where that came from) or the database."""
    ANSWERS.labels(result.value, f"memory: {held.origin}" if held else "database").inc(count)


def ready() -> Held | None:
    """Return what is in memory, or None while it is being loaded; say so where it may be old."""
    holding.keep()
    held = holding.current()
    if held is not None and not holding.reachable():
        state = causality.current()
        if state is not None:
            state.degraded.add(placement.alias_of(APP))
    return held


def stand_in() -> Held:
    """Return what can be had without the database.

    :raises AliasUnavailable: when that is nothing.
    """
    held = holding.stand_in()
    if held is None:
        raise AliasUnavailable(placement.alias_of(APP))
    return held


def _check_without(point: Point, as_of: dt.date, program: str | None) -> Answer:
    return index.look_up(stand_in().indexes, point, as_of, program)


@falls_back_to(_check_without, app_label=APP)
def _check_in_database(point: Point, as_of: dt.date, program: str | None) -> Answer:
    return lookup.look_up(point, as_of, program)


def _check_many_without(
    points: Sequence[Point], as_of: dt.date, program: str | None
) -> list[Answer]:
    return index.look_up_many(stand_in().indexes, points, as_of, program)


@falls_back_to(_check_many_without, app_label=APP)
def _check_many_in_database(
    points: Sequence[Point], as_of: dt.date, program: str | None
) -> list[Answer]:
    return [lookup.look_up(point, as_of, program) for point in points]
