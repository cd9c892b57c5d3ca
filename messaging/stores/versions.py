"""Versions of messages: a hybrid logical clock and its writer, compared whole.

Two processes may each see only one of the stores and change the same message. Whatever order their
changes arrive in, both stores keep the same one: a deleted state beats any that is not, and else
the higher version wins. A version is 128 bits: 48 of milliseconds, 16 that count within one, 64 of
the process that wrote. (Kulkarni et al., "Logical Physical Clocks", 2014.)
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple, Self
from uuid import UUID

MOST_AHEAD_MS: Final = 60_000
"""A version that lies further ahead of our own clock (somebody's clock was wrong) is surpassed for
its own message alone; the clock does not follow it."""
_MOST_COUNTED: Final = 0xFFFF


class Version(NamedTuple):
    """When a state was written, and by whom."""

    physical: int
    """Milliseconds since 1970."""
    counter: int
    writer: int

    @property
    def text(self) -> str:
        """Return 32 hexadecimal digits that sort as the version does."""
        return f"{self.physical:012x}{self.counter:04x}{self.writer:016x}"

    @property
    def at(self) -> datetime:
        """Return the physical part as a time."""
        return datetime.fromtimestamp(self.physical / 1000, UTC)

    @classmethod
    def from_rank(cls, rank: str) -> Self:
        """Return the version in the rank of a state."""
        bits = int(rank[1:], 16)
        return cls(bits >> 80, bits >> 64 & _MOST_COUNTED, bits & (1 << 64) - 1)

    @classmethod
    def of_creation(cls, message_id: UUID) -> Self:
        """Return the version of a message's first state: the same whoever tries how often.

        So a late retry of a creation is never newer than anything that happened since.
        """
        bits = message_id.int
        return cls(bits >> 80, 0, bits & (1 << 64) - 1)


def rank_of(*, deleted: bool, version: Version) -> str:
    """Return the text by which states of one message compare: the highest one is the truth."""
    return f"{deleted:d}{version.text}"


class Clock:
    """Gives out versions that rise, whatever the wall clock does."""

    def __init__(self, now_ms: Callable[[], int], *, writer: int) -> None:
        """Begin behind everything.

        :param now_ms: the wall clock.
        :param writer: 64 bits that no other clock has.
        """
        self._now_ms = now_ms
        self._writer = writer
        self._lock = threading.Lock()
        self._last = (0, 0)
        self._far = (0, 0)

    def next(self, *, after: Version | None = None) -> Version:
        """Return a version that was never given out, above `after` and, unless that lies far
        ahead, above all that were given out here."""
        now = self._now_ms()
        beyond = (0, 0) if after is None else _following((after.physical, after.counter))
        with self._lock:
            if beyond[0] <= now + MOST_AHEAD_MS:
                self._last = place = max((now, 0), _following(self._last), beyond)
            else:
                self._far = place = max(_following(self._far), beyond)
        return Version(*place, self._writer)


def _following(place: tuple[int, int]) -> tuple[int, int]:
    physical, counter = place
    return (physical, counter + 1) if counter < _MOST_COUNTED else (physical + 1, 0)


def now_ms() -> int:
    """Return milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _new_clock() -> Clock:
    return Clock(now_ms, writer=int.from_bytes(os.urandom(8), "big"))


_clock = _new_clock()


def next_version(*, after: Version | None = None) -> Version:
    """Return this process's next version. See `Clock.next`."""
    return _clock.next(after=after)


def _begin_anew() -> None:
    """Write under a name of its own in a child made by fork."""
    global _clock  # noqa: PLW0603 - one per process
    _clock = _new_clock()


os.register_at_fork(after_in_child=_begin_anew)
