"""What each process holds in memory, published to Redis so that operators see all of them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from common.errors import PolystoreError
from databases.stores import redis

KEPT_SECONDS: Final = 15
_PREFIX: Final = "polystore:zones:index:1:"
_INDEX: Final = f"{_PREFIX}all"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerIndex:
    """The index of one process."""

    host: str
    pid: int
    origin: str
    """`database`, `snapshot` or `source`; empty while it has none and the database answers."""
    generations: Mapping[str, int]
    """Program → generation."""
    database_reachable: bool
    loaded_ms: float
    at: float


def publish(state: WorkerIndex) -> None:
    """Write the state of this process; it vanishes when the process does.

    :raises PolystoreError: while Redis is away or not configured.
    """
    name = f"{state.host}:{state.pid}"
    with redis.connection() as client, client.pipeline(transaction=False) as pipeline:
        pipeline.set(_PREFIX + name, json.dumps(asdict(state)), ex=KEPT_SECONDS)
        pipeline.zadd(_INDEX, {name: state.at + KEPT_SECONDS})
        pipeline.zremrangebyscore(_INDEX, "-inf", state.at - KEPT_SECONDS)
        pipeline.expire(_INDEX, KEPT_SECONDS * 4)
        pipeline.execute()


def published() -> list[WorkerIndex] | None:
    """Return the states of all processes, by host and number; None while Redis cannot be asked."""
    try:
        with redis.connection() as client:
            names: Any = client.zrangebyscore(_INDEX, time.time(), "+inf")
            texts: Any = client.mget([_PREFIX + name.decode() for name in names]) if names else []
    except PolystoreError:
        return None
    found = [WorkerIndex(**json.loads(text)) for text in texts if text is not None]
    return sorted(found, key=lambda state: (state.host, state.pid))
