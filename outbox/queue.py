"""How the queue stands: for sweeps, metrics, health and operators. Every question is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connections

from databases.placement import alias_of
from outbox import registry
from outbox.delivery.once import deliverable_sinks
from outbox.delivery.shards import HERE, key_of
from outbox.events import SHARDS
from outbox.recording import APP

MOST_COUNTED: Final = 100_000
"""A longer queue is reported as this long: to count it would take longer than it tells."""
STUCK_SECONDS: Final = 60
"""Seconds of silence after which a drainer's session is ended: its process hangs, or its machine
is gone, and its shards would wait for it. A living one says something four times a second."""

_FIGURES: Final = """
SELECT
    (SELECT count(*) FROM (SELECT FROM outbox_outboxevent WHERE sink = %(sink)s LIMIT %(most)s) q),
    (SELECT count(*) FROM outbox_outboxevent WHERE attempts > 0 AND sink = %(sink)s),
    (SELECT coalesce(extract(epoch FROM max(clock_timestamp() - first.created_at)), 0)::float8
     FROM generate_series(0, %(last_shard)s) AS s (shard)
     CROSS JOIN LATERAL (
        SELECT created_at FROM outbox_outboxevent WHERE sink = %(sink)s AND shard = s.shard
        ORDER BY id LIMIT 1
     ) AS first),
    (SELECT count(*) FROM outbox_deadletter WHERE sink = %(sink)s)
"""
_WAITS: Final = """
SELECT EXISTS (SELECT FROM outbox_outboxevent WHERE sink = %(sink)s AND attempts = 0)
    OR EXISTS (SELECT FROM outbox_outboxevent
               WHERE sink = %(sink)s AND attempts > 0 AND next_at <= clock_timestamp())
"""
_OF_DRAINERS: Final = """
l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted AND l.objid = %(here)s
AND l.classid = %(key)s::bigint::oid
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_DRAINERS: Final = f"SELECT count(*) FROM pg_locks AS l WHERE {_OF_DRAINERS}"  # noqa: S608 - constants
_END_STUCK: Final = f"""
SELECT count(*) FILTER (WHERE pg_terminate_backend(a.pid))
FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE {_OF_DRAINERS} AND a.state = 'idle'
  AND a.state_change < clock_timestamp() - make_interval(secs => %(stuck)s)
"""  # noqa: S608 - constants
_PAUSED: Final = "SELECT EXISTS (SELECT FROM outbox_deliverystate WHERE paused_at IS NOT NULL)"
_OTHER_SINKS: Final = """
WITH RECURSIVE known AS (
    (SELECT sink FROM outbox_outboxevent ORDER BY sink LIMIT 1)
    UNION ALL
    SELECT (SELECT e.sink FROM outbox_outboxevent AS e WHERE e.sink > known.sink
            ORDER BY e.sink LIMIT 1)
    FROM known WHERE known.sink IS NOT NULL
)
SELECT sink FROM known WHERE sink IS NOT NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFigures:
    """How many events wait for one sink, and for how long."""

    sink: str
    waiting: int
    """Retries included; MOST_COUNTED stands for more."""
    retrying: int
    """Those that failed and will be tried again."""
    oldest_seconds: float
    """How long the oldest one waits; 0 where none does."""
    dead: int
    drainers: int | None
    """That deliver now; None where the database cannot say."""


def figures() -> list[QueueFigures]:
    """Return the figures of every sink that has subscribers or events."""
    sinks = sorted({*registry.all_sinks(), *(row[0] for row in _ask(_OTHER_SINKS))})
    return [_figures_of(sink) for sink in sinks]


def is_paused() -> bool:
    """Tell whether operators have paused delivery."""
    return bool(_ask(_PAUSED)[0][0])


def sinks_to_wake() -> list[str]:
    """Return the sinks for which something waits and nobody delivers; ends drainers that hang."""
    if is_paused():
        return []
    return [
        sink
        for sink in deliverable_sinks()
        if _ask(_WAITS, {"sink": sink})[0][0] and not _living_drainers(sink)
    ]


def _living_drainers(sink: str) -> int:
    drainers = _drainers(sink)
    if not drainers:
        return 0
    return drainers - int(_ask(_END_STUCK, _key(sink) | {"stuck": STUCK_SECONDS})[0][0])


def _figures_of(sink: str) -> QueueFigures:
    parameters = {"sink": sink, "most": MOST_COUNTED, "last_shard": SHARDS - 1}
    waiting, retrying, oldest, dead = _ask(_FIGURES, parameters)[0]
    return QueueFigures(
        sink=sink,
        waiting=waiting,
        retrying=retrying,
        oldest_seconds=oldest,
        dead=dead,
        drainers=_drainers(sink),
    )


def _drainers(sink: str) -> int | None:
    if connections[alias_of(APP)].vendor != "postgresql":
        return None
    return int(_ask(_DRAINERS, _key(sink))[0][0])


def _key(sink: str) -> dict[str, Any]:
    return {"here": HERE, "key": key_of(sink)}


def _ask(sql: str, parameters: dict[str, Any] | None = None) -> Sequence[tuple[Any, ...]]:
    with connections[alias_of(APP)].cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
