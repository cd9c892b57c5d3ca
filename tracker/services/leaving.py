"""What the tracker keeps of people, for their export and their leaving."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db.models import Model

from accounts.leaving.registry import Holder, Leaver
from accounts.leaving.rows import delete_rows_of, rows_of
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

OWN: Final = (TimerInterval, Timer, Todo, DailyReport, PointsDay, IdempotencyKey, Standing)
"""Each has a column `user`; what others refer to comes behind what refers to it."""


def forget_person(leaver: Leaver) -> None:
    """Delete all that was theirs; triggers tell MongoDB of every row."""
    delete_rows_of(Friendship, "low_id", "high_id", user_id=leaver.user_id)
    for model in OWN:
        delete_rows_of(model, "user_id", user_id=leaver.user_id)


def _own(model: type[Model], user_id: UUID) -> Iterator[Mapping[str, Any]]:
    return rows_of(model, "user_id", user_id=user_id)


HOLDER: Final = Holder(
    app_label="tracker",
    sections={
        "todos": partial(_own, Todo),
        "timers": partial(_own, Timer),
        "timerIntervals": partial(_own, TimerInterval),
        "dailyReports": partial(_own, DailyReport),
        "points": partial(_own, PointsDay),
        "standing": partial(_own, Standing),
        "friendships": lambda user_id: rows_of(Friendship, "low_id", "high_id", user_id=user_id),
    },
    forget=forget_person,
)
