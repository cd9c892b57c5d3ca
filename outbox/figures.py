"""How much waits, for how long, and what failed: one statement within an exact deadline.

Asked over a connection of its own, so that a primary that hangs holds nobody up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db import connections

from databases.placement import alias_of
from databases.probe import ask, conninfo_of
from outbox.queue import MOST_COUNTED
from outbox.recording import APP

SECONDS: Final = 0.8
TRIED_OFTEN: Final = 5
"""An event that was tried more often than this has failed, whether it is a dead letter yet."""

# The statistics of a table that is empty most of the time are always wrong: go by the index.
_BY_INDEX: Final = "SET enable_seqscan = off; SET enable_bitmapscan = off;"
_FIGURES: Final = f"""
WITH RECURSIVE sinks (sink) AS (
    SELECT min(sink)::text FROM outbox_outboxevent
    UNION ALL
    SELECT (SELECT min(e.sink)::text FROM outbox_outboxevent AS e WHERE e.sink > sinks.sink)
    FROM sinks WHERE sinks.sink IS NOT NULL
)
SELECT
    (SELECT count(*) FROM (SELECT sink FROM outbox_outboxevent LIMIT {MOST_COUNTED}) AS q),
    (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(o.created_at)), 0)
     FROM sinks CROSS JOIN generate_series(0, 15) AS n (shard) CROSS JOIN LATERAL (
        SELECT created_at FROM outbox_outboxevent AS e
        WHERE e.sink = sinks.sink AND e.shard = n.shard::smallint ORDER BY id LIMIT 1
     ) AS o),
    (SELECT count(*) FROM outbox_deadletter),
    (SELECT count(*) FROM outbox_outboxevent WHERE attempts > 0),
    (SELECT count(*) FROM outbox_outboxevent WHERE attempts > {TRIED_OFTEN}),
    (SELECT max(paused_at) FROM outbox_deliverystate),
    (SELECT coalesce(sum(s.last), 0) FROM (
        SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS last
        FROM outbox_outboxevent_id_seq) AS s),
    (SELECT coalesce(json_object_agg(projection, schema), '{{}}') FROM outbox_projectionstate)
"""  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The queue at one moment."""

    waiting: int
    """At most MOST_COUNTED."""
    lag_seconds: float
    """Age of the oldest event that waits; 0 where none does."""
    dead: int
    retried: int
    """Waiting events that failed at least once."""
    tried_often: int
    paused_at: datetime | None
    last_id: int
    """The last id that was given to an event."""
    shapes: Mapping[str, int] = field(default_factory=dict)
    """By projection, the version of the shape that its documents have."""

    @property
    def failed(self) -> int:
        """Return dead letters and events that were tried more than TRIED_OFTEN times."""
        return self.dead + self.tried_often


def measure(*, timeout: float = SECONDS) -> Figures:
    """Ask the primary.

    :raises databases.probe.ProbeFailed: when it does not answer within `timeout` seconds.
    """
    connection = connections[alias_of(APP)]
    begin = _BY_INDEX if connection.vendor == "postgresql" else ""
    (row,) = ask(conninfo_of(connection.settings_dict), begin + _FIGURES, timeout=timeout)
    waiting, lag, dead, retried, often, paused, last_id, shapes = row
    return Figures(
        waiting=int(waiting or 0),
        lag_seconds=max(0.0, round(float(lag or 0), 3)),
        dead=int(dead or 0),
        retried=int(retried or 0),
        tried_often=int(often or 0),
        paused_at=datetime.fromisoformat(paused) if paused else None,
        last_id=int(last_id or 0),
        shapes=json.loads(shapes or "{}"),
    )
