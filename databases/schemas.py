"""What the health endpoints answer."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from common.schemas import AnswerSchema


class SiteDatabases(AnswerSchema):
    """The two stores that can serve the site."""

    mongodb: bool
    postgresql: bool
    timestamp: datetime


class MessagingHealth(AnswerSchema):
    """How direct messages are served."""

    mode: Literal["normal", "mongodb down", "postgresql down", "catching up", "down"]
    waiting_for_mongodb: int | None
    """Messages that PostgreSQL alone has, 10,000 for more; null while it does not say."""
    waiting_for_postgresql: int | None
    last_reconciliation: datetime | None


class SiteHealth(AnswerSchema):
    """Whether the site serves: healthy, degraded while one store serves, unhealthy with none."""

    status: Literal["healthy", "degraded", "unhealthy"]
    databases: SiteDatabases
    message: str
    messaging: MessagingHealth | None = None


class PoolDetail(AnswerSchema):
    """The pools of one alias, summed over the processes that opened one."""

    processes: int
    total: int
    idle: int
    waiting: int
    most: int


class ReadsDetail(AnswerSchema):
    """Where the reads of one alias went since the processes began."""

    total: int
    on_replicas: int
    share_on_replicas: float | None
    reasons: dict[str, int]
    """Why the others did not go to a replica."""


class StoreDetail(AnswerSchema):
    """What staff see of one store: just probed, and as all processes know it."""

    up: bool
    milliseconds: float
    reason: str
    served_by: str
    region: str = ""
    breaker: Literal["closed", "open"]
    """Open while it is open in any process."""
    breaker_open_in: int
    """Processes whose breaker is open, of `breakerKnownTo`, which have used the store."""
    breaker_known_to: int
    breaker_since: datetime | None = None
    breaker_reason: str = ""
    breaker_opened: int
    breaker_refused: int
    pool: PoolDetail | None = None
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    usable_in: int | None = None
    """Processes that read from this replica."""
    not_usable_because: str | None = None
    reads: ReadsDetail | None = None


class ProcessDetail(AnswerSchema):
    """One process whose figures are shown."""

    role: str
    host: str
    pid: int
    region: str
    seconds_old: float


class DatabasesHealth(AnswerSchema):
    """One boolean per database; `readReplica` is null where none is configured."""

    main: bool
    cache: bool
    analytics: bool
    documents: bool
    compliance: bool
    data: bool
    read_replica: bool | None
    mongodb: bool
    redis: bool
    scope: Literal["all processes", "this process"] | None = None
    processes: list[ProcessDetail] | None = None
    detail: dict[str, StoreDetail] | None = None


class ConnectionFigures(AnswerSchema):
    """Connections of one database."""

    total_connections: int
    idle_connections: int
    waiting_connections: int
