"""How often geocoders may be asked, which of them rest, and what became of questions: for all
processes together, in Redis. Only names of providers and counts go there.

# Note [Without Redis]
A provider allows the whole site so many questions a second. While nobody can count them together
each process takes its share, the rate divided by PROCESSES, and knows the rests that it began.
"""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings

from databases.breaker import AliasUnavailable
from databases.stores import redis

_PREFIX: Final = "polystore:geocoder:1"
FIGURES_DAYS: Final = 8
"""How long the counts of a day are kept."""

# A virtual clock per provider: when the next question may be asked. ARGV: milliseconds between two
# questions, how far the clock may run behind (the burst), the longest wait that the caller takes.
_RESERVE: Final = """
local rest = redis.call('PTTL', KEYS[2])
if rest > 0 then return {0, rest} end
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local clock = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now - tonumber(ARGV[2]))
local wait = math.max(0, clock - now)
if wait > tonumber(ARGV[3]) then return {1, wait} end
local following = clock + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', following),
           'PX', math.max(1000, math.ceil(following - now + tonumber(ARGV[2]))))
return {2, wait}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Whether a provider may be asked."""

    granted: bool
    wait: float
    """Seconds until the question may be put; without a grant, until it is worth asking again."""
    resting: bool = False
    """The provider failed or said that its quota is used up: nobody asks it for a while."""


class _Here:
    """What this process knows by itself."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clocks: dict[str, float] = {}
        self.rests: dict[str, float] = {}


_here = _Here()


def reserve(provider: str, *, rate: float, burst: int, longest: float) -> Slot:
    """Take the next slot of a provider, if it is due within `longest` seconds.

    :param rate: questions a second, of the whole site.
    :param burst: questions that may be put at once after a quiet time.
    """
    left = _here.rests.get(provider, 0.0) - time.monotonic()
    if left > 0:
        return Slot(granted=False, wait=left, resting=True)
    between = 1000 / rate
    try:
        with redis.connection() as client:
            kind, milliseconds = _pair(
                client.eval(
                    _RESERVE,
                    2,
                    f"{_PREFIX}:clock:{provider}",
                    _resting(provider),
                    f"{between:.3f}",
                    f"{between * (burst - 1):.3f}",
                    f"{longest * 1000:.0f}",
                )
            )
    except (AliasUnavailable, redis.RedisNotConfigured):
        return _reserve_here(provider, between * settings.PROCESSES / 1000, longest)
    return Slot(granted=kind == 2, wait=milliseconds / 1000, resting=kind == 0)


def rest(provider: str, *, seconds: float) -> None:
    """Have nobody ask a provider for a while."""
    _here.rests[provider] = time.monotonic() + seconds
    try:
        with redis.connection() as client:
            client.set(_resting(provider), b"1", px=max(1, int(seconds * 1000)))
    except (AliasUnavailable, redis.RedisNotConfigured):
        return


def wake(provider: str) -> None:
    """Let a provider be asked again."""
    _here.rests.pop(provider, None)
    try:
        with redis.connection() as client:
            client.delete(_resting(provider))
    except (AliasUnavailable, redis.RedisNotConfigured):
        return


def rests(providers: list[str]) -> Mapping[str, float]:
    """Return the seconds that those rest on which do; without Redis, what this process knows."""
    now = time.monotonic()
    found = {name: until - now for name, until in list(_here.rests.items()) if until > now}
    try:
        with redis.connection() as client, client.pipeline(transaction=False) as pipeline:
            for name in providers:
                pipeline.pttl(_resting(name))
            left: list[Any] = pipeline.execute()
    except (AliasUnavailable, redis.RedisNotConfigured):
        return found
    told = {
        name: int(milliseconds) / 1000
        for name, milliseconds in zip(providers, left, strict=True)
        if int(milliseconds) > 0
    }
    return {**told, **found}


def count(day: dt.date, counts: Mapping[str, int]) -> None:
    """Add to the figures of a day, e.g. `{"answers:fresh": 1}`; lost while Redis is away."""
    name = f"{_PREFIX}:figures:{day:%Y%m%d}"
    try:
        with redis.connection() as client, client.pipeline(transaction=False) as pipeline:
            for figure, amount in counts.items():
                pipeline.hincrby(name, figure, amount)
            pipeline.expire(name, FIGURES_DAYS * 86_400)
            pipeline.execute()
    except (AliasUnavailable, redis.RedisNotConfigured):
        return


def figures(days: list[dt.date]) -> Mapping[str, int] | None:
    """Return the figures of these days together; None while Redis cannot be asked."""
    try:
        with redis.connection() as client, client.pipeline(transaction=False) as pipeline:
            for day in days:
                pipeline.hgetall(f"{_PREFIX}:figures:{day:%Y%m%d}")
            found: list[Any] = pipeline.execute()
    except (AliasUnavailable, redis.RedisNotConfigured):
        return None
    total: dict[str, int] = {}
    for each in found:
        for figure, amount in each.items():
            total[figure.decode()] = total.get(figure.decode(), 0) + int(amount)
    return total


def _reserve_here(provider: str, between: float, longest: float) -> Slot:
    with _here.lock:
        now = time.monotonic()
        clock = max(_here.clocks.get(provider, 0.0), now)
        if clock - now > longest:
            return Slot(granted=False, wait=clock - now)
        _here.clocks[provider] = clock + between
    return Slot(granted=True, wait=clock - now)


def _resting(provider: str) -> str:
    return f"{_PREFIX}:rests:{provider}"


def _pair(found: Any) -> tuple[int, int]:
    return int(found[0]), int(found[1])


def _begin_anew() -> None:
    global _here  # noqa: PLW0603 - the parent's lock may be held
    _here = _Here()


os.register_at_fork(after_in_child=_begin_anew)
