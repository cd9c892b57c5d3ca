"""What this process remembers of sessions, and what it heard about their ends.

Nothing that was read before the news of a change is remembered after it, however the threads
interleave: a reading is put in with the moment at which it began, and refused where news of that
session or of its user came later.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from accounts.sessions.entries import Entry

FRESH_SECONDS: Final = 30.0
"""How long a reading of the primary counts."""
MOST_ENTRIES: Final = 20_000
NEWS_SECONDS: Final = 120.0
"""How long news is kept: longer than any reading takes that began before it."""
MOST_NEWS: Final = 50_000
"""More than Redis can be told of for now becomes news of EVERYTHING."""
EVERYTHING: Final = "*"


@dataclass(slots=True)
class _News:
    at: float
    told: bool = False
    """Whether Redis knows."""
    told_at: float = 0.0
    """When Redis had been told."""


class Memory:
    """Entries by the hash of their session's key. Every method may be called by any thread."""

    def __init__(self) -> None:
        """Begin empty."""
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[Entry, float]] = OrderedDict()
        self._of_user: dict[str, set[str]] = {}
        self._news: dict[str, _News] = {}
        self._pruned = time.monotonic()
        self.has_news = threading.Event()
        """Set when Redis should be told."""

    def get(self, key_hash: str, *, seen: int) -> Entry | None:
        """Return the entry, unless it is too old, or older than what its browser has seen."""
        found = self._entries.get(key_hash)
        if found is None or time.monotonic() - found[1] > FRESH_SECONDS:
            return None
        entry = found[0]
        fresh = max(entry.version, entry.seen) >= seen and entry.expires_at > time.time()
        return entry if fresh else None

    def put(self, entry: Entry, *, begun: float, read_at: float | None = None) -> bool:
        """Remember an entry, and return whether no news came since it was asked for.

        :param begun: `time.monotonic()` before it was asked for.
        :param read_at: when the primary was asked, where somebody else asked it.
        """
        with self._lock:
            if self.heard_since(begun, entry.key_hash, entry.user_id):
                return False
            self._drop(entry.key_hash)
            self._entries[entry.key_hash] = (entry, begun if read_at is None else read_at)
            if entry.user_id:
                self._of_user.setdefault(entry.user_id, set()).add(entry.key_hash)
            if len(self._entries) > MOST_ENTRIES:
                self._drop(next(iter(self._entries)))
        return True

    def hear(self, *names: str) -> None:
        """Forget sessions (by the hash of the key) and users (by id), or EVERYTHING."""
        at = time.monotonic()
        with self._lock:
            if len(self._news) > MOST_NEWS:
                # At once, for those who look without the lock.
                self._news = {EVERYTHING: _News(at)}
                self._forget(EVERYTHING)
            for name in names:
                self._news[name] = _News(at)
                self._forget(name)
            if at - self._pruned > NEWS_SECONDS:
                self._prune(at)
        self.has_news.set()

    def heard_since(self, moment: float, *names: str) -> bool:
        """Tell whether there was news of one of these, or of everything, then or later.

        :param moment: at most NEWS_SECONDS ago.
        """
        return any(
            (news := self._news.get(name)) is not None and news.at >= moment
            for name in (*names, EVERYTHING)
        )

    def begin_anew(self) -> None:
        """Forget everything, and what is being read: this process may have missed news."""
        with self._lock:
            known = self._news.get(EVERYTHING)
            told = known is None or known.told
            self._news[EVERYTHING] = _News(time.monotonic(), told=told)
            self._forget(EVERYTHING)

    def read_again(self) -> None:
        """Forget the entries, but no news: the next request for each reads it once more."""
        with self._lock:
            self._forget(EVERYTHING)

    def untold(self) -> dict[str, float]:
        """Return the news that Redis does not know yet, with its moments."""
        with self._lock:
            return {name: news.at for name, news in self._news.items() if not news.told}

    def told(self, news: dict[str, float]) -> None:
        """Note that Redis knows these."""
        with self._lock:
            for name, at in news.items():
                if (known := self._news.get(name)) is not None and known.at == at:
                    known.told_at = time.monotonic()
                    known.told = True

    def redis_did_not_know(self, moment: float, *names: str) -> bool:
        """Tell whether there is news of one of these that Redis had not been told by then.

        :param moment: before Redis was asked: it may have answered before it was told.
        """
        return any(
            (news := self._news.get(name)) is not None and (not news.told or news.told_at >= moment)
            for name in (*names, EVERYTHING)
        )

    def _forget(self, name: str) -> None:
        if name == EVERYTHING:
            self._entries.clear()
            self._of_user.clear()
            return
        for key_hash in [name, *self._of_user.get(name, ())]:
            self._drop(key_hash)

    def _drop(self, key_hash: str) -> None:
        found = self._entries.pop(key_hash, None)
        if found is None or not found[0].user_id:
            return
        others = self._of_user.get(found[0].user_id)
        if others is not None:
            others.discard(key_hash)
            if not others:
                del self._of_user[found[0].user_id]

    def _prune(self, at: float) -> None:
        self._pruned = at
        for name, news in list(self._news.items()):
            # What Redis was not told keeps its word from counting, until it can be told.
            if news.told and at - news.at > NEWS_SECONDS:
                del self._news[name]


memory = Memory()


def _begin_anew() -> None:
    memory.__init__()  # type: ignore[misc]  # whoever imported it goes on with the same object


os.register_at_fork(after_in_child=_begin_anew)
