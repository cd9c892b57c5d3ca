"""What all processes together know of one store: the figures that operators see everywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db import connections

from databases import pool_figures, read_totals
from databases.aliases import is_replica, primary_of
from databases.process_state import Processes, ProcessState
from databases.stores import mongo, redis


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerView:
    """The breakers of one store, one per process that has used it."""

    known: int
    open: int
    reasons: tuple[str, ...]
    """Kinds of failure of those that are open."""
    since: str
    """ISO 8601: since when the first of them is open; empty while none is."""
    opened: int
    refused: int

    def __str__(self) -> str:
        """Return "closed", "open" or "open in 2 of 4"."""
        if not self.open:
            return "closed"
        return "open" if self.open == self.known else f"open in {self.open} of {self.known}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """The pools of one alias, summed."""

    processes: int
    """How many have opened one."""
    total: int
    idle: int
    waiting: int
    most: int
    """What those processes may hold together."""

    @property
    def used(self) -> int:
        """Return how many connections are at work."""
        return max(0, self.total - self.idle)


@dataclass(frozen=True, slots=True, kw_only=True)
class LagView:
    """How far a replica is behind, as the process that sees it worst sees it."""

    known: int
    usable: int
    reasons: tuple[str, ...]
    lag_bytes: int
    lag_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsView:
    """Where the reads of one alias went, since the processes began."""

    total: int
    on_replicas: int
    reasons: Mapping[str, int]
    """Why the others did not go to a replica."""

    @property
    def share(self) -> float | None:
        """Return the share of reads that replicas served, or None without reads."""
        return round(self.on_replicas / self.total, 4) if self.total else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreView:
    """One store over all processes."""

    store: str
    breaker: BreakerView
    pool: PoolView
    lag: LagView | None
    """For replicas that some process has looked at."""
    reads: ReadsView | None
    """For aliases; a replica's reads are counted with its primary's."""


def by_store(processes: Processes) -> dict[str, StoreView]:
    """Return the view of every alias, MongoDB and Redis."""
    stores = (*connections.settings, mongo.STORE, redis.STORE)
    return {store: _view(store, processes.states) for store in stores}


def _view(store: str, states: Iterable[ProcessState]) -> StoreView:
    states = tuple(states)
    is_alias = store in connections.settings
    return StoreView(
        store=store,
        breaker=_breaker(store, states),
        pool=_pool(store, states, most=pool_figures.most(store) if is_alias else 0),
        lag=_lag(store, states),
        reads=_reads(store, states) if is_alias and not is_replica(store) else None,
    )


def _breaker(store: str, states: tuple[ProcessState, ...]) -> BreakerView:
    known = [state.breakers[store] for state in states if store in state.breakers]
    opened = [found for found in known if found.open]
    return BreakerView(
        known=len(known),
        open=len(opened),
        reasons=tuple(sorted({found.reason for found in opened})),
        since=min((found.since for found in opened), default=""),
        opened=sum(found.opened for found in known),
        refused=sum(found.refused for found in known),
    )


def _pool(store: str, states: tuple[ProcessState, ...], *, most: int) -> PoolView:
    known = [state.pools[store] for state in states if store in state.pools]
    return PoolView(
        processes=len(known),
        total=sum(found.total for found in known),
        idle=sum(found.idle for found in known),
        waiting=sum(found.waiting for found in known),
        most=most * len(known),
    )


def _lag(store: str, states: tuple[ProcessState, ...]) -> LagView | None:
    known = [state.replicas[store] for state in states if store in state.replicas]
    if not known:
        return None
    return LagView(
        known=len(known),
        usable=sum(found.usable for found in known),
        reasons=tuple(sorted({found.reason for found in known if found.reason})),
        lag_bytes=max(found.lag_bytes for found in known),
        lag_seconds=max(found.lag_seconds for found in known),
    )


def _reads(alias: str, states: tuple[ProcessState, ...]) -> ReadsView:
    total = on_replicas = 0
    why: Counter[str] = Counter()
    for state in states:
        for (served_by, reason), count in read_totals.by_reason(state.reads).items():
            if primary_of(served_by) != alias:
                continue
            total += count
            if is_replica(served_by):
                on_replicas += count
            else:
                why[reason] += count
    return ReadsView(total=total, on_replicas=on_replicas, reasons=dict(why.most_common()))
