"""What a delivery came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Claimed(NamedTuple):
    """An event as it is claimed; the drainer's hot path, so no more than it needs."""

    shard: int
    id: int
    aggregate_type: str
    aggregate_id: str
    type: str
    attempts: int
    age: float
    """Seconds between its recording and its claim, by the database's clock."""
    schema: int = 1
    payload: str | None = None
    headers: str | None = None
    created_at: str = ""

    @property
    def aggregate(self) -> tuple[str, str]:
        """Return what it is about."""
        return self.aggregate_type, self.aggregate_id


@dataclass(slots=True)
class Results:
    """What became of the events of one batch."""

    done: list[Claimed] = field(default_factory=list)
    failed: list[tuple[Claimed, str]] = field(default_factory=list)
    """With the kind of failure: the same text for the same fault, and no values."""
    hopeless: set[int] = field(default_factory=set)
    """Ids of failed events that are not worth another try."""
    outage: str = ""
    """The store that stopped answering; events in neither list wait for it."""


@dataclass(slots=True, kw_only=True)
class Delivered:
    """What a drain did."""

    events: int = 0
    """That their sink has now, or that a newer one made unnecessary."""
    batches: int = 0
    failed: int = 0
    """That will be tried again."""
    dead: int = 0
    """That became dead letters."""
    reason: str = ""
    """Why it ended early: "paused", "elsewhere" (others own the shards), or the store that is
    away."""

    def add(self, other: Delivered) -> None:
        """Count `other`, too."""
        self.events += other.events
        self.batches += other.batches
        self.failed += other.failed
        self.dead += other.dead
        self.reason = other.reason or self.reason
