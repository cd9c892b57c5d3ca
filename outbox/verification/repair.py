"""Mend differences: events that have the rows read and shown again, at a bounded rate.

Note [Why a repair looks twice]: an event must be recorded under the lock of its row, so that ids
rise with the commits. These are not: a transaction may hold an older event of the same row, whose
document would then be refused as the older one. So once every transaction that was open when the
events were recorded has ended, and all their events are delivered, rows and documents are compared
again, and what differs is told again. No transaction that begins later can have an older event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from django.db import connections

from databases.placement import alias_of
from databases.transactions import atomic_for
from outbox.events import MONGODB, NewEvent
from outbox.recording import APP, record
from outbox.registry import Projection
from outbox.verification.recheck import waiting_events

AT_ONCE: Final = 100
"""Events of one transaction."""
PER_SECOND: Final = 2_000
LONGEST_ID: Final = 64
PAUSE: Final = 0.1


def tell_again(
    projection: Projection,
    ids: Iterable[str],
    *,
    verb: str = "repaired",
    per_second: int = PER_SECOND,
    after_each: Callable[[str, int], None] = lambda _last, _count: None,
) -> int:
    """Record one event for each of `ids`, for MongoDB alone; return how many.

    Rows that are gone become tombstones.

    :param verb: of the event's type.
    :param after_each: called after each commit with the last id and how many it held.
    """
    told = 0
    begun = time.monotonic()
    fitting = (key for key in ids if len(key) <= LONGEST_ID)  # no event could name the others
    while batch := list(islice(fitting, AT_ONCE)):
        with atomic_for(APP):
            for key in batch:
                record(
                    NewEvent(
                        aggregate_type=projection.aggregate_type,
                        aggregate_id=key,
                        type=f"{projection.aggregate_type}.{verb}",
                    ),
                    only=MONGODB,
                )
        told += len(batch)
        after_each(batch[-1], len(batch))
        time.sleep(max(0.0, begun + told / per_second - time.monotonic()))
    return told


def horizon() -> Callable[[], bool]:
    """Return a function that tells whether every writer that is open now has ended."""
    connection = connections[alias_of(APP)]
    if connection.vendor != "postgresql":
        return lambda: True

    def ask(what: str) -> int:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {what}::text::bigint")
            return int(cursor.fetchone()[0])

    # A number of our own: a snapshot's xmax leaves out what is open beyond the last that ended.
    number = ask("pg_current_xact_id()")
    return lambda: ask("pg_snapshot_xmin(pg_current_snapshot())") >= number


def settled(
    projection: Projection, ids: Sequence[str], passed: Callable[[], bool], *, seconds: float
) -> bool:
    """Wait until all of these are delivered and `passed` says yes; tell whether that came true."""
    deadline = time.monotonic() + seconds
    while not passed() or waiting_events(projection.aggregate_type, ids):
        if time.monotonic() >= deadline:
            return False
        time.sleep(PAUSE)
    return True
