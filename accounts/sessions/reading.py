"""Find a session: in this process's memory, else in Redis, else in the primary.

Memory and Redis count while this process hears the primary. While it does not, each request asks
the primary; while that is away, Redis alone may vouch, and where that cannot be asked either the
request is refused: nobody knows whether the session still lives.
"""

from __future__ import annotations

import time
from typing import Final

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.db import InterfaceError, OperationalError
from prometheus_client import Counter

from accounts.sessions import feed, primary, seen_times, telling, vouching
from accounts.sessions.entries import Entry
from accounts.sessions.memory import FRESH_SECONDS, memory
from accounts.sessions.vouching import Answer

KNOWN_SECONDS: Final = 1.0
"""How long after somebody heard of all ends Redis still speaks for the primary."""
GONE_SECONDS: Final = 3.0
"""A primary that hangs, without an answer for anybody, is held to be down after so long."""
READS: Final = Counter(
    "polystore_session_reads", "Sessions that requests looked up, by who knew.", ["by"]
)


def find(key_hash: str, *, seen: int, decoder: SessionBase) -> Entry | None:
    """Return the session with this key, or None where there is none.

    :param seen: the version that its browser has seen: an older one is not returned, except while
        the primary is away.
    :param decoder: the store that asks.
    :raises django.db.OperationalError: while neither the primary nor Redis can say.
    """
    if not settings.SESSION_MEMORY:
        return primary.load(key_hash, seen=seen, decoder=decoder)
    feed.keep_listening()
    telling.keep_telling()
    entry = _find(key_hash, seen=seen, decoder=decoder)
    if entry is not None:
        seen_times.note(entry.id, last=entry.last_seen_at)
    return entry


def _find(key_hash: str, *, seen: int, decoder: SessionBase) -> Entry | None:
    answer = None
    if feed.is_live():
        if (entry := memory.get(key_hash, seen=seen)) is not None:
            READS.labels("memory").inc()
            return entry
        answer = vouching.ask(key_hash)
        if (entry := _fresh(answer, seen=seen)) is not None:
            READS.labels("redis").inc()
            return entry
    begun = time.monotonic()
    try:
        entry = primary.load(key_hash, seen=seen, decoder=decoder)
    except (OperationalError, InterfaceError):
        # AliasUnavailable is one; it has marked the answer as degraded.
        kept = vouching.ask(key_hash)
        if kept is None or kept.entry is None or not _redis_knows(kept):
            raise
        READS.labels("redis alone").inc()
        return kept.entry
    feed.note_an_answer()
    READS.labels("primary").inc()
    if entry is not None and entry.lasting:
        remembered = memory.put(entry, begun=begun)
        if remembered and answer is not None:
            vouching.keep(entry, answer)
    return entry


def _fresh(answer: Answer | None, *, seen: int) -> Entry | None:
    """Return the entry in Redis's answer where it counts as much as one of our own."""
    if answer is None or answer.entry is None or not telling.has_joined():
        return None
    entry = answer.entry
    if answer.age > FRESH_SECONDS or max(entry.version, entry.seen) < seen or _untold(answer):
        return None
    remembered = memory.put(entry, begun=answer.begun, read_at=answer.begun - answer.age)
    return entry if remembered else None


def _redis_knows(answer: Answer) -> bool:
    """Tell whether Redis knows of every end, though this process cannot ask the primary.

    Somebody else hears the primary, or nobody can end sessions now: it refuses connections, or
    nobody has got an answer for a while. A process that has only run out of connections, or
    of patience, knows neither; one that saw the primary serve after anybody last heard of ends
    knows that Redis may lack some.
    """
    if _untold(answer):
        return False
    if answer.unheard < KNOWN_SECONDS:
        return True
    if feed.may_have_missed(answer.begun - answer.unheard):
        return False
    breaker = primary.breaker()
    return breaker.is_open and (not breaker.silent or answer.unheard > GONE_SECONDS)


def _untold(answer: Answer) -> bool:
    """Tell whether this process knew more than Redis, when Redis was asked."""
    entry = answer.entry
    return entry is not None and memory.redis_did_not_know(
        answer.begun, entry.key_hash, entry.user_id
    )
