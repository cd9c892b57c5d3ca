"""How often somebody may do something: counted in Redis, and here while it is away."""

from __future__ import annotations

import os
import threading
import time
from typing import Final

import redis as driver

from databases.breaker import AliasUnavailable
from databases.stores import redis

_MOST_KEYS: Final = 100_000
_here: dict[str, int] = {}
_lock = threading.Lock()


def wait_for(key: str, *, limit: int, seconds: int, acts: int = 1) -> int:
    """Count one more act, or several, and return 0; or the seconds until it is allowed again.

    Acts are counted by spans of `seconds` that begin at the same moments everywhere.

    :param key: who does what: `messaging.post:<user id>`.
    :param acts: how many at once; several that are refused are not counted.
    """
    span, since = divmod(time.time(), seconds)
    name = f"polystore:limit:{key}:{int(span)}"
    if _count(name, seconds, acts) <= limit:
        return 0
    if acts > 1:
        _count(name, seconds, -acts)
    return max(1, round(seconds - since + 0.5))


def _count(name: str, seconds: int, acts: int) -> int:
    if redis.configured():
        try:
            with redis.connection() as client:
                pipeline = client.pipeline(transaction=False)
                pipeline.incrby(name, acts)
                pipeline.expire(name, seconds + 1)
                return int(pipeline.execute()[0])
        except (AliasUnavailable, driver.RedisError):
            pass  # each process counts for itself meanwhile
    with _lock:
        if len(_here) > _MOST_KEYS:
            _here.clear()
        _here[name] = _here.get(name, 0) + acts
        return _here[name]


def _begin_anew() -> None:
    global _lock  # noqa: PLW0603 - the parent's may be held
    _lock = threading.Lock()
    _here.clear()


os.register_at_fork(after_in_child=_begin_anew)
