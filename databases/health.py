"""Which stores answer right now? Asked in parallel, at most once a second, within a second."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connections
from django.utils import timezone

from databases import breaker as breakers
from databases import replica
from databases.aliases import PRIMARY, SPECS, is_replica
from databases.probe import ProbeFailed, ask, conninfo_of
from databases.stores import mongo, redis

logger = logging.getLogger("databases.health")

PROBE_SECONDS = 0.8
"""Each probe's own deadline."""
ALL_SECONDS = 0.95
"""All probes together; whoever has not answered by then counts as down."""
FRESH_SECONDS = 1.0

Probe = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreHealth:
    """What one probe found."""

    up: bool
    milliseconds: float
    reason: str = ""
    """Why it is not up: the kind of failure, for staff."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """What all probes found at one moment."""

    at: datetime
    stores: Mapping[str, StoreHealth]
    """By alias, and `mongodb`, `redis`; replicas by their own alias."""
    taken: float = field(repr=False)
    """Monotonic time, for the cache."""

    def up(self, store: str) -> bool:
        """Tell whether a store answered; one that is not configured did not."""
        found = self.stores.get(store)
        return found is not None and found.up

    def by_key(self) -> dict[str, bool | None]:
        """Return the public answer of `/api/health/databases`.

        An alias that is not configured shows the primary, which serves it; `readReplica` is true
        when at least one replica is usable and None when there is none.
        """
        answer: dict[str, bool | None] = {}
        for spec in SPECS.values():
            if spec.name == "replica":
                copies = [name for name in self.stores if is_replica(name)]
                answer[spec.health_key] = any(map(self.up, copies)) if copies else None
            else:
                serving = spec.name if spec.name in connections.settings else PRIMARY.value
                answer[spec.health_key] = self.up(serving)
        answer["mongodb"] = self.up(mongo.STORE)
        answer["redis"] = self.up(redis.STORE)
        return answer


Part = Callable[[], Mapping[str, Any]]
_parts: dict[str, Part] = {}


def tell_of(name: str, part: Part) -> None:
    """Have `/api/health` tell of a part of the site that an app above knows of.

    :param part: answers within the time of a probe, whatever is down.
    """
    _parts[name] = part


def parts() -> dict[str, Mapping[str, Any] | None]:
    """Return what is told of each part; None for one that fails: health answers all the same."""
    told: dict[str, Mapping[str, Any] | None] = {}
    for name, part in _parts.items():
        try:
            told[name] = part()
        except Exception:
            logger.exception("health.part_failed", extra={"part": name})
            told[name] = None
    return told


_lock = threading.Lock()
_last: HealthReport | None = None


def report(*, fresh: bool = False) -> HealthReport:
    """Probe every store, or return what was found less than a second ago.

    Callers that come while others probe wait for the same answer, so that any number of them
    costs one probe a second. Takes a second at most.

    :param fresh: probe now, for commands.
    """
    global _last  # noqa: PLW0603 - the cache of the process
    with _lock:
        known = _last
        if fresh or known is None or time.monotonic() - known.taken > FRESH_SECONDS:
            known = _last = _probe_all(_probes())
        return known


def _probes() -> dict[str, Probe]:
    probes: dict[str, Probe] = {}
    for alias, settings in connections.settings.items():
        probes[alias] = _replica_probe(alias) if is_replica(alias) else _postgres_probe(settings)
    if mongo.configured():
        probes[mongo.STORE] = lambda: mongo.ping(timeout=PROBE_SECONDS)
    if redis.configured():
        probes[redis.STORE] = redis.ping
    return probes


def _postgres_probe(settings: dict[str, Any]) -> Probe:
    return lambda: _ask(settings)


def _ask(settings: dict[str, Any]) -> None:
    ask(conninfo_of(settings), "SELECT 1", timeout=PROBE_SECONDS)


def _replica_probe(alias: str) -> Probe:
    def probe() -> None:
        seen = replica.get(alias).look()
        if not seen.usable:
            raise ProbeFailed(seen.reason, seconds=0)

    return probe


def _probe_all(probes: Mapping[str, Probe]) -> HealthReport:
    started = time.monotonic()
    found: dict[str, StoreHealth] = {}

    def run(store: str, probe: Probe) -> None:
        begun = time.monotonic()
        try:
            probe()
        except Exception as error:  # noqa: BLE001 - whatever it is, the store does not serve
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            found[store] = _result(begun, up=False, reason=reason)
        else:
            found[store] = _result(begun, up=True)
            known = breakers.get(store)
            if known is not None:
                known.succeeded()

    threads = [
        threading.Thread(target=run, args=item, name=f"health-{item[0]}", daemon=True)
        for item in probes.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, started + ALL_SECONDS - time.monotonic()))
    late = StoreHealth(up=False, milliseconds=ALL_SECONDS * 1000, reason="no answer in time")
    stores = {store: found.get(store, late) for store in probes}
    return HealthReport(at=timezone.now(), stores=stores, taken=time.monotonic())


def _result(begun: float, *, up: bool, reason: str = "") -> StoreHealth:
    return StoreHealth(up=up, milliseconds=(time.monotonic() - begun) * 1000, reason=reason)


def _reset_after_fork() -> None:
    global _lock, _last  # noqa: PLW0603 - the child probes for itself
    _lock = threading.Lock()
    _last = None


os.register_at_fork(after_in_child=_reset_after_fork)
