"""Read what waits, in order, without locking or changing it: the owner of a shard is its only reader.

Nothing is written before the sink has the events, so a drainer that ends at any point leaves the
queue as it was.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import starmap
from typing import Final

from outbox.delivery.floor import SEQUENCE, SNAPSHOT, Floor
from outbox.delivery.outcome import Claimed
from outbox.delivery.session import Session
from outbox.events import MONGODB

SAMPLE_EVERY: Final = 0.05
SWEEP_EVERY: Final = 5.0

_KEYS: Final = "e.shard, e.id, e.aggregate_type, e.aggregate_id, e.event_type, e.attempts"
_AGE: Final = "extract(epoch FROM clock_timestamp() - e.created_at)::float8"
_REST: Final = "e.schema, e.payload::text, e.headers::text, e.created_at::text"
_NOT_PAUSED: Final = "NOT EXISTS (SELECT FROM outbox_deliverystate WHERE paused_at IS NOT NULL)"


def _new(columns: str) -> str:
    return f"""
    SELECT {columns}
    FROM unnest(%s::smallint[], %s::bigint[]) AS s (shard, floor)
    CROSS JOIN LATERAL (
        SELECT * FROM outbox_outboxevent
        WHERE sink = %s AND shard = s.shard AND id > s.floor AND attempts = 0
        ORDER BY id LIMIT %s
    ) AS e
    WHERE {_NOT_PAUSED}
    LIMIT %s
    """  # noqa: S608 - made of constants


def _due(columns: str) -> str:
    return f"""
    SELECT {columns} FROM outbox_outboxevent AS e
    WHERE e.attempts > 0 AND e.next_at <= clock_timestamp() AND e.sink = %s
      AND e.shard = ANY(%s::smallint[]) AND {_NOT_PAUSED}
    ORDER BY e.next_at LIMIT %s
    """  # noqa: S608 - made of constants


# A projection reads the row itself: its events travel without payload and headers.
_SLIM: Final = (_new(f"{_KEYS}, {_AGE}"), _due(f"{_KEYS}, {_AGE}"))
_FULL: Final = (_new(f"{_KEYS}, {_AGE}, {_REST}"), _due(f"{_KEYS}, {_AGE}, {_REST}"))


class Claims:
    """The scans of one drainer."""

    def __init__(self, session: Session, sink: str, *, batch: int) -> None:
        """Begin every shard at its beginning."""
        self._session = session
        self._sink = sink
        self._batch = batch
        self._new, self._due = _SLIM if sink == MONGODB else _FULL
        self._floor = Floor()
        self._floors: dict[int, int] = {}
        self._swept = time.monotonic()
        self._sampled = 0.0
        self._read: dict[int, int] = {}
        self._reading_from = 0

    def forget(self, shards: Sequence[int]) -> None:
        """Begin anew with shards that others have owned meanwhile."""
        for shard in shards:
            self._floors.pop(shard, None)

    def new(self, shards: Sequence[int]) -> list[Claimed]:
        """Return the first events that were never tried, by shard and id.

        :param shards: the owned ones; the first of them is read first.
        """
        now = time.monotonic()
        if now - self._swept >= SWEEP_EVERY:
            self._swept = now
            self._floors.clear()
        if self._session.postgres and now - self._sampled >= SAMPLE_EVERY:
            self._sample(now)
        floors = [self._floors.get(shard, 0) for shard in shards]
        rows = self._session.run(
            self._new, (list(shards), floors, self._sink, self._batch, self._batch)
        )
        claimed = list(starmap(Claimed, rows))
        self._note(shards, claimed)
        return claimed

    def settled(self) -> None:
        """Raise the floors: what `new` returned last is done, or waits as a retry."""
        for shard, last_id in self._read.items():
            raised = min(last_id, self._reading_from)
            if raised > self._floors.get(shard, 0):
                self._floors[shard] = raised
        self._read = {}

    def due(self, shards: Sequence[int]) -> list[Claimed]:
        """Return failed events whose time has come."""
        rows = self._session.run(self._due, (self._sink, list(shards), self._batch))
        return list(starmap(Claimed, rows))

    def _note(self, shards: Sequence[int], claimed: Sequence[Claimed]) -> None:
        """Remember how far each shard was read: to its end, or to the last event returned."""
        self._reading_from = self._floor.value
        self._read = dict.fromkeys(shards, self._floor.value)
        if len(claimed) < self._batch:
            return
        last = claimed[-1]
        self._read[last.shard] = last.id
        for shard in shards[list(shards).index(last.shard) + 1 :]:
            del self._read[shard]

    def _sample(self, now: float) -> None:
        self._sampled = now
        sequence, snapshot = self._session.run_both(SEQUENCE, SNAPSHOT)
        xmax, xmin = snapshot[0]
        self._floor.note(last_id=sequence[0][0], xmax=xmax, xmin=xmin, now=now)
