"""The id up to which nothing can be waiting any more: where scans may begin.

A queue whose rows are deleted is full of dead entries for as long as any snapshot is held, and a
scan from its beginning reads all of them. So scans begin at a floor, which must never pass an
event that a transaction still holds: ids are given out before the commit and not in its order.

A sample is the last id given out. A second later it gets a number: that of a transaction of our
own, begun then. Whoever holds an id up to the sample's has a smaller number, for a writer gets one
right after its id, if not before; the second is far more than it takes. When every transaction
below that number has ended, each event up to the sample's id was committed or will never be.
A snapshot's xmax would not do as the number: it is one past the newest transaction that *ended*,
and those that are open beyond it are missing. Should any of this fail, the sweep from the
beginning, every few seconds, still finds the event.
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
XMIN: Final = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, NULL"
XMIN_AND_NUMBER: Final = (
    "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,"
    " pg_current_xact_id()::text::bigint"
)


class Floor:
    """The floor of all shards of a drainer."""

    __slots__ = ("_newest", "_numbered", "_young", "value")

    def __init__(self) -> None:
        """Begin at the beginning."""
        self.value = 0
        self._newest = 0
        self._young: deque[tuple[float, int]] = deque()
        self._numbered: deque[tuple[int, int]] = deque()

    def wants_a_number(self, now: float) -> bool:
        """Return whether a sample is old enough for its number: never while nothing is written."""
        return bool(self._young) and now - self._young[0][0] >= LEAST_AGE

    def note(
        self, *, last_id: int, xmin: int, number: int | None, asked: float, answered: float
    ) -> None:
        """Take a sample, and raise the floor to the newest one that has settled.

        :param last_id: the last id given out.
        :param xmin: a snapshot's: every transaction below this number has ended.
        :param number: of a transaction begun just now, where the floor wanted one when asked.
        :param asked: when these were asked for, in seconds of a clock that only rises.
        :param answered: when they had arrived.
        """
        if last_id < self._newest:  # the sequence was set back
            self.value = self._newest = 0
            self._young.clear()
            self._numbered.clear()
        if number is not None:
            self._number(number, asked)
        while self._numbered and self._numbered[0][0] <= xmin:
            self.value = self._numbered.popleft()[1]
        if last_id > self._newest:
            self._newest = last_id
            self._young.append((answered, last_id))

    def _number(self, number: int, now: float) -> None:
        aged = None
        while self.wants_a_number(now):
            aged = self._young.popleft()[1]
        if aged is None:
            return
        if len(self._numbered) == MOST_SAMPLES:
            self._numbered.pop()
        self._numbered.append((number, aged))
