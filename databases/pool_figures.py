"""How busy the connections are, in this process's pools or on the servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connections

from databases.aliases import SPECS, is_replica
from databases.backend.wrapper import open_pools
from databases.probe import ProbeFailed, ask, conninfo_of

SERVER_SQL = """
SELECT count(*), count(*) FILTER (WHERE state = 'idle'),
       count(*) FILTER (WHERE wait_event_type = 'Lock')
  FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
SERVER_SECONDS = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFigures:
    """Connections of one alias; `waiting` are callers without one (here) or on a lock (server)."""

    total: int
    idle: int
    waiting: int


def by_alias() -> Mapping[str, PoolFigures]:
    """Return the figures of the pools that this process has opened, each alias by itself."""
    return {
        alias: PoolFigures(
            total=found.get("pool_size", 0),
            idle=found.get("pool_available", 0),
            waiting=found.get("requests_waiting", 0),
        )
        for alias, pool in list(open_pools().items())
        for found in (pool.get_stats(),)
    }


def most(alias: str) -> int:
    """Return how many connections one process may hold open to `alias`."""
    entry = connections.settings[alias]
    return int(entry["POLYSTORE"]["pool_max"]) if entry["OPTIONS"].get("pool") else 0


def of_this_process() -> Mapping[str, PoolFigures]:
    """Return the figures of this process's pools, by alias; replicas of one alias are summed."""
    figures: dict[str, PoolFigures] = {}
    opened = by_alias()
    for alias in connections.settings:
        _add(figures, alias, opened.get(alias, PoolFigures(total=0, idle=0, waiting=0)))
    return figures


def of_the_servers() -> Mapping[str, PoolFigures]:
    """Return what each server says of connections to the alias's database; one that is down: 0."""
    figures: dict[str, PoolFigures] = {}
    for alias, settings in connections.settings.items():
        try:
            (row,) = ask(conninfo_of(settings), SERVER_SQL, timeout=SERVER_SECONDS)
        except ProbeFailed:
            row = ("0", "0", "0")
        total, idle, waiting = (int(value or 0) for value in row)
        _add(figures, alias, PoolFigures(total=total, idle=idle, waiting=waiting))
    return figures


def _add(figures: dict[str, PoolFigures], alias: str, found: PoolFigures) -> None:
    key = SPECS["replica"].health_key if is_replica(alias) else SPECS[alias].health_key
    known = figures.get(key, PoolFigures(total=0, idle=0, waiting=0))
    figures[key] = PoolFigures(
        total=known.total + found.total,
        idle=known.idle + found.idle,
        waiting=known.waiting + found.waiting,
    )
