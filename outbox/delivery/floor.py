"""The id up to which nothing can be waiting any more: where scans may begin.

A queue whose rows are deleted is full of dead entries for as long as any snapshot is held, and a
scan from its beginning reads all of them. So scans begin at a floor, which must never pass an
event that a transaction still holds: ids are given out before the commit and not in its order.

A sample is (last id given out, the next transaction's number), read in this order. When later
every transaction below that number has ended, each event with an id up to the sample's was
committed or will never be. The age of a second covers the moment between the sequence's answer
and the transaction's number, for a transaction that writes its event first of all. Should any of
this fail, the sweep from the beginning, every few seconds, still finds the event.
"""

from __future__ import annotations

from collections import deque
from typing import Final

LEAST_AGE: Final = 1.0
MOST_SAMPLES: Final = 2_048

SEQUENCE: Final = (
    "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END"
    " FROM outbox_outboxevent_id_seq"
)
SNAPSHOT: Final = (
    "SELECT pg_snapshot_xmax(s)::text::bigint, pg_snapshot_xmin(s)::text::bigint"
    " FROM (SELECT pg_current_snapshot() AS s) AS now"
)


class Floor:
    """The floor of all shards of a drainer."""

    __slots__ = ("_samples", "value")

    def __init__(self) -> None:
        """Begin at the beginning."""
        self.value = 0
        self._samples: deque[tuple[float, int, int]] = deque()

    def note(self, *, last_id: int, xmax: int, xmin: int, now: float) -> None:
        """Take a sample, and raise the floor to the newest one that has settled.

        :param last_id: the last id given out, read before the snapshot.
        :param xmax: the snapshot's: every transaction from this number on had not begun.
        :param xmin: the snapshot's: every transaction below this number has ended.
        :param now: seconds of a clock that only rises.
        """
        if last_id < self.value:  # the sequence was set back
            self.value = 0
            self._samples.clear()
        samples = self._samples
        while samples and samples[0][2] <= xmin and now - samples[0][0] >= LEAST_AGE:
            self.value = max(self.value, samples.popleft()[1])
        if len(samples) < MOST_SAMPLES:
            samples.append((now, last_id, xmax))
