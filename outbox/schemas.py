"""What the outbox's operations answer."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from common.schemas import AnswerSchema

Connected = Literal["connected", "disconnected"]


class SyncFigures(AnswerSchema):
    """The queue; null where the primary does not say in time."""

    queue_size: int | None
    """Events that wait; 100000 stands for that many and more."""
    sync_lag_seconds: float | None
    """How long the oldest has waited."""
    failed_events: int | None
    """Dead letters, and events that were tried more than 5 times."""


class SyncAlertAnswer(AnswerSchema):
    """Something that is wrong."""

    code: str
    severity: Literal["warning", "critical"]
    message: str
    value: float
    threshold: float
    since: datetime


class SyncHealth(AnswerSchema):
    """How synchronisation does: as its worst alert, healthy where there is none."""

    status: Literal["healthy", "degraded", "unhealthy"]
    databases: dict[Literal["postgresql", "cockroachdb", "mongodb"], Connected]
    """MongoDB, and the primary by its kind."""
    sync: SyncFigures
    alerts: list[SyncAlertAnswer]
