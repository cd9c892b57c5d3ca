"""Read what waits, in order, without locking or changing it: a shard has one reader, its owner.

Nothing is written before the sink has the events, so a drainer that ends at any point leaves the
queue as it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Final

from outbox.delivery.floor import SEQUENCE, XMIN, XMIN_AND_NUMBER, Floor
from outbox.delivery.outcome import Claimed
from outbox.delivery.session import Session
from outbox.delivery.state import State
from outbox.events import MONGODB

SAMPLE_EVERY: Final = 0.05
SWEEP_EVERY: Final = 5.0

_KEYS: Final = "e.shard, e.id, e.aggregate_type, e.aggregate_id, e.event_type, e.attempts"
_AGE: Final = "extract(epoch FROM clock_timestamp() - e.created_at)::float8"
_REST: Final = "e.schema, e.payload::text, e.headers::text, e.created_at::text"
_SLIM_COLUMNS: Final = f"{_KEYS}, {_AGE}"
_FULL_COLUMNS: Final = f"{_KEYS}, {_AGE}, {_REST}"
_HINDERED: Final = (
    "EXISTS (SELECT FROM outbox_deliverystate WHERE paused_at IS NOT NULL OR epoch <> %s)"
)


def _new(columns: str) -> str:
    # Of the ids in hand PostgreSQL makes a hash once; with <> ALL a plan that it keeps would
    # compare each row with each of them. A row of nothing says that none was shown: what was seen
    # and what was hidden must be told by one snapshot.
    nothing = ", ".join("NULL" for _ in columns.split(", "))
    return f"""
    (SELECT {columns}
    FROM unnest(%s::smallint[], %s::bigint[]) AS s (shard, floor)
    CROSS JOIN LATERAL (
        SELECT * FROM outbox_outboxevent
        WHERE sink = %s AND shard = s.shard AND id > s.floor AND attempts = 0
          AND id NOT IN (SELECT unnest(%s::bigint[]))
        ORDER BY id LIMIT %s
    ) AS e
    WHERE NOT {_HINDERED}
    LIMIT %s)
    UNION ALL SELECT {nothing} WHERE {_HINDERED}
    """  # noqa: S608 - made of constants


def _due(columns: str) -> str:
    return f"""
    SELECT {columns} FROM outbox_outboxevent AS e
    WHERE e.attempts > 0 AND e.next_at <= clock_timestamp() AND e.sink = %s
      AND e.shard = ANY(%s::smallint[]) AND NOT {_HINDERED}
    ORDER BY e.next_at LIMIT %s
    """  # noqa: S608 - made of constants


# A projection reads the row itself: its events travel without payload and headers.
_SLIM: Final = (_new(_SLIM_COLUMNS), _due(_SLIM_COLUMNS))
_FULL: Final = (_new(_FULL_COLUMNS), _due(_FULL_COLUMNS))


@dataclass(frozen=True, slots=True)
class Claim:
    """Events that were never tried, and how far their shards have been read."""

    events: list[Claimed]
    full: bool
    """There may be more."""
    read: Mapping[int, int]
    """Shard → the id up to which nothing else can be waiting, once these events are settled."""
    hindered: bool = False
    """Nothing was shown: delivery is paused, or another epoch has begun."""


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
        self._epoch = State().epoch

    def enter(self, epoch: int) -> None:
        """Show the events of this epoch alone; another one begins with ids that were set back."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._floor = Floor()
            self._floors.clear()

    def forget(self, shards: Iterable[int]) -> None:
        """Begin anew with shards that others have owned meanwhile."""
        for shard in shards:
            self._floors.pop(shard, None)

    def new(self, shards: Sequence[int], *, besides: Sequence[Claimed] = ()) -> Claim:
        """Return the first events that were never tried, by shard and id.

        :param shards: the owned ones; the first of them is read first.
        :param besides: events in hand, which are not returned again.
        """
        now = time.monotonic()
        if now - self._swept >= SWEEP_EVERY:
            self._swept = now
            self._floors.clear()
        if self._session.postgres and now - self._sampled >= SAMPLE_EVERY:
            self._sample(now)
        floors = [self._floors.get(shard, 0) for shard in shards]
        in_hand = [one.id for one in besides]
        rows = self._session.run(
            self._new,
            (
                list(shards), floors, self._sink, in_hand, self._batch, self._epoch, self._batch,
                self._epoch,
            ),
        )  # fmt: skip
        if rows and rows[-1][0] is None:
            return Claim([], full=False, read={}, hindered=True)
        events = list(starmap(Claimed, rows))
        full = len(events) >= self._batch
        return Claim(events, full, self._read(shards, events[-1] if full else None))

    def settled(self, claim: Claim) -> None:
        """Raise the floors: the claim's events, and those of claims before, are done or retries."""
        for shard, read in claim.read.items():
            if read > self._floors.get(shard, 0):
                self._floors[shard] = read

    def due(self, shards: Sequence[int]) -> list[Claimed]:
        """Return failed events whose time has come."""
        parameters = (self._sink, list(shards), self._epoch, self._batch)
        rows = self._session.run(self._due, parameters)
        return list(starmap(Claimed, rows))

    def _read(self, shards: Sequence[int], last: Claimed | None) -> dict[int, int]:
        """Return how far each shard was read: to its end, or to the `last` of a full claim."""
        floor = self._floor.value
        if last is None:
            return dict.fromkeys(shards, floor)
        place = list(shards).index(last.shard)
        return dict.fromkeys(shards[:place], floor) | {last.shard: min(floor, last.id)}

    def _sample(self, now: float) -> None:
        self._sampled = now
        statement = XMIN_AND_NUMBER if self._floor.wants_a_number(now) else XMIN
        [[last_id]], [[xmin, number]] = self._session.run_both(SEQUENCE, statement)
        self._floor.note(
            last_id=last_id, xmin=xmin, number=number, asked=now, answered=time.monotonic()
        )
        if not self._floor.value:
            self._floors.clear()
