"""Counters that start anew after a while: in Redis, and in this process while Redis is away.

# Note [What holds while Redis is away]
A limit that vanished with Redis would invite whoever can stop Redis to guess passwords; one that
refused everybody would turn a lost cache into a site that nobody can sign in to. So each process
counts for itself: a site of N processes then lets N times as much through, for as long as Redis is
away, and never more.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from common.errors import PolystoreError
from databases.breaker import AliasUnavailable
from databases.stores import redis

_COUNT: Final = """
local counts = {}
for i, key in ipairs(KEYS) do
  local n = redis.call('INCR', key)
  if n == 1 then redis.call('PEXPIRE', key, ARGV[i]) end
  counts[#counts + 1] = n
  counts[#counts + 1] = redis.call('PTTL', key)
end
return counts
"""
_GIVE_BACK: Final = """
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') > 0 then redis.call('DECR', key) end
end
"""
MOST_IN_MEMORY: Final = 20_000
"""Counters of a process; the oldest are forgotten first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """Something to count."""

    key: str
    seconds: int
    """After which it starts anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What was counted."""

    times: int
    left: float
    """Seconds until it starts anew."""


def count(counters: list[Counter]) -> list[Count]:
    """Count each of them once more and return where they stand."""
    milliseconds = [counter.seconds * 1000 for counter in counters]
    try:
        with redis.connection() as client:
            found: Any = client.eval(
                _COUNT, len(counters), *(counter.key for counter in counters), *milliseconds
            )
    except (AliasUnavailable, redis.RedisNotConfigured):
        return memory.count(counters)
    return [
        Count(times=int(times), left=max(0, int(left)) / 1000)
        for times, left in zip(found[::2], found[1::2], strict=True)
    ]


def give_back(counters: list[Counter]) -> None:
    """Take one off each of them."""
    memory.give_back(counters)
    try:
        with redis.connection() as client:
            client.eval(_GIVE_BACK, len(counters), *(counter.key for counter in counters))
    except (AliasUnavailable, redis.RedisNotConfigured):
        return


class Memory:
    """The counters of this process."""

    def __init__(self) -> None:
        """Begin with none."""
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def count(self, counters: list[Counter]) -> list[Count]:
        """Count each of them once more."""
        now = time.monotonic()
        with self._lock:
            counts = [self._one(counter, now) for counter in counters]
            while len(self._counts) > MOST_IN_MEMORY:
                self._counts.popitem(last=False)
        return counts

    def give_back(self, counters: list[Counter]) -> None:
        """Take one off each that is known here."""
        with self._lock:
            for counter in counters:
                times, until = self._counts.get(counter.key, (0, 0.0))
                if times > 0:
                    self._counts[counter.key] = (times - 1, until)

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._counts.clear()

    def _one(self, counter: Counter, now: float) -> Count:
        times, until = self._counts.get(counter.key, (0, 0.0))
        if until <= now:
            times, until = 0, now + counter.seconds
        self._counts[counter.key] = (times + 1, until)
        return Count(times=times + 1, left=until - now)


memory: Final = Memory()


class ThrottleMisconfigured(PolystoreError):
    """ACCOUNT_THROTTLES lacks a rule."""

    code, status, title = "accounts.throttle_misconfigured", 500, "A limit is missing"
    remedy = "Name every rule of accounts.throttling.rules in ACCOUNT_THROTTLES."
