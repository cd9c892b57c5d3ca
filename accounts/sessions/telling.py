"""Tells Redis what this process hears from the primary, and that it heard everything."""

from __future__ import annotations

import logging
import os
import threading
import time

from accounts.sessions import feed, vouching
from accounts.sessions.memory import EVERYTHING, memory
from databases.stores import redis

logger = logging.getLogger("accounts.sessions")

TELL_EVERY = 0.2
"""Seconds; news is told at once."""
MOST_AT_ONCE = 1_000


class _Teller:
    """The thread of one process, and its place among those who listen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._times = 0
        """Which beginning of the feed the others belong to."""
        self._begun = ""
        self._joined = False
        self._next: tuple[str, float] | None = None
        """A time of Redis's, and a later one of ours: once the primary has answered after the
        second, everything before the first was heard."""
        self._heard = ""

    def keep_telling(self) -> None:
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._tell_in_turn, name="sessions-teller", daemon=True
                )
                self._thread.start()

    def has_joined(self) -> bool:
        return self._joined and self._times == feed.times()

    def _tell_in_turn(self) -> None:
        while True:
            memory.has_news.wait(TELL_EVERY)
            memory.has_news.clear()
            try:
                self.tell()
            except Exception:
                # Whatever it is, the next turn may do better; a thread that ended would not.
                logger.exception("sessions.not_told")

    def tell(self) -> None:
        """Tell what Redis does not know yet."""
        # In this order: what is heard after the first lines is not claimed below.
        times, hears, until = feed.times(), feed.is_live(), feed.heard_until()
        news = memory.untold()
        if not redis.configured():
            memory.told(news)
            return
        if times != self._times:
            self._times, self._begun, self._joined = times, "", False
            self._next, self._heard = None, ""
        if self._next is not None and until > self._next[1]:
            self._heard, self._next = self._next[0], None
        some = dict(list(news.items())[:MOST_AT_ONCE])
        all_of_it = hears and len(some) == len(news)
        answer = vouching.tell(
            [name for name in some if name != EVERYTHING],
            everything=EVERYTHING in some,
            begun=self._begun,
            joined=self._joined,
            heard=self._heard if all_of_it else "",
        )
        if answer is None:
            return
        memory.told(some)
        if len(some) < len(news):
            memory.has_news.set()
        if hears:
            self._begun = self._begun or answer.now
            self._next = self._next or (answer.now, time.monotonic())
            if all_of_it and answer.joined != self._joined:
                self._joined = answer.joined
                # Redis did not take what was read meanwhile; it is to vouch for it from now on.
                memory.read_again()


_teller = _Teller()


def keep_telling() -> None:
    """Tell from now on, in one thread per process."""
    _teller.keep_telling()


def has_joined() -> bool:
    """Tell whether this process and those before it have heard everything without a gap."""
    return _teller.has_joined()


def _begin_anew() -> None:
    global _teller  # noqa: PLW0603 - the child's own
    _teller = _Teller()


os.register_at_fork(after_in_child=_begin_anew)
