"""What an event is: which aggregate changed, for which sink, in which order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

SHARDS: Final = 16
MONGODB: Final = "mongodb"
"""The sink of projections. Every other sink is the label of an app whose database is written."""
ID_BITS: Final = 44
"""Bits of a version that hold the event's id; those above hold the epoch. 2**44 events are 55
years at 10,000 a second, and 2**19 epochs remain in the 63 bits that MongoDB's long has."""


def shard_of(aggregate_type: str, aggregate_id: str) -> int:
    """Return the shard of an aggregate, 0 … 15: all its events are delivered by one drainer.

    The first hexadecimal digit of an MD5, so that a trigger in SQL computes the same.
    """
    text = f"{aggregate_type}:{aggregate_id}"
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[0], 16)


def version_of(epoch: int, event_id: int) -> int:
    """Return the version of what an event brings, one integer that sorts by (epoch, event id)."""
    return epoch << ID_BITS | event_id


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """A change that is about to be recorded."""

    aggregate_type: str
    """`todo`, `user` …"""
    aggregate_id: str
    type: str
    """`aggregate.verb_in_past`: `todo.completed`."""
    payload: Mapping[str, Any] | None = None
    """JSON values, or None: then the subscriber reads the row when the event is delivered, which
    is cheaper, and lets one delivery stand for many events."""
    schema: int = 1
    """Version of the payload's shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event that is being delivered to one sink."""

    id: int
    epoch: int
    sink: str
    aggregate_type: str
    aggregate_id: str
    type: str
    schema: int
    payload: Mapping[str, Any] | None
    headers: Mapping[str, str]
    """`traceparent`, `request_id` and `causal` (the caller's token), as far as there were any."""
    created_at: datetime
    attempts: int = 0

    @property
    def version(self) -> int:
        """What orders this event among all of its aggregate."""
        return version_of(self.epoch, self.id)
