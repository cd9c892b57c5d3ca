"""Tell the workers that there is something to deliver, soon after a commit and never inside it.

A commit only sets a flag. One thread per process sends the hints, at most one per sink and quarter
of a second, whatever the number of commits, and fewer where whoever drains lingers. A hint carries
no data: to lose or double one is harmless, beat's sweep finds what nobody told of.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Final

from celery import current_app
from django.conf import settings

from databases.transactions import after_commit
from outbox.events import MONGODB

logger = logging.getLogger("outbox.wake")

DRAIN: Final = "outbox.drain"
QUEUE: Final = "outbox"
BETWEEN: Final = 0.25
"""Seconds between two hints of a process for a sink."""
BETWEEN_FOR_MONGODB: Final = 1.0
"""The same for projections, whose drainer lingers for twice as long after its last event
(`outbox.delivery.lingering.IDLE_SECONDS`): sooner, a hint would only find it at work."""
STALE: Final = 30
"""Seconds after which a hint that no worker took is thrown away: the sweep sends others."""


class _Waker:
    """The flag and the thread that sends for it."""

    def __init__(self) -> None:
        self._flag = threading.Event()
        self._lock = threading.Lock()
        self._sinks: set[str] = set()
        self._thread: threading.Thread | None = None

    def hint(self, sink: str) -> None:
        """Have a hint sent for `sink`; returns at once."""
        if sink in self._sinks and self._flag.is_set():
            return  # it has yet to be sent, and so tells of this commit, too
        with self._lock:
            self._sinks.add(sink)
            if self._thread is None:
                self._thread = threading.Thread(target=self._send, name="outbox-wake", daemon=True)
                self._thread.start()
        self._flag.set()

    def _send(self) -> None:
        again: dict[str, float] = {}
        while True:
            self._flag.wait()
            now = time.monotonic()
            with self._lock:
                due = {sink for sink in self._sinks if again.get(sink, 0.0) <= now}
                self._sinks -= due
                if not self._sinks:
                    self._flag.clear()
            for sink in sorted(due):
                send_hint(sink)
                again[sink] = now + (BETWEEN_FOR_MONGODB if sink == MONGODB else BETWEEN)
            time.sleep(BETWEEN)


def send_hint(sink: str) -> bool:
    """Send one hint now; return whether the broker took it.

    For threads and processes that nobody waits for: a broker that hangs holds it up for a second.
    """
    try:
        current_app.send_task(
            DRAIN, args=[sink], queue=QUEUE, expires=STALE, retry=False, ignore_result=True
        )
    except Exception as error:  # noqa: BLE001 - whatever the broker is, the sweep stands in
        logger.warning("outbox.hint.lost", extra={"sink": sink, "reason": type(error).__name__})
        return False
    return True


_waker = _Waker()


def hint(sink: str) -> None:
    """Tell the workers, soon, that `sink` has something to deliver. Costs microseconds."""
    if settings.OUTBOX_WAKE:
        _waker.hint(sink)


@cache
def hint_of(sink: str) -> Callable[[], None]:
    """Return the function that tells them of `sink`: the same one each time."""
    return partial(hint, sink)


def hint_after_commit(*sinks: str) -> None:
    """Tell them when the open transaction of the primary has committed, or now without one.

    For rows whose triggers record the events.
    """
    for sink in sinks:
        after_commit("outbox", partial(hint, sink))


def _begin_anew() -> None:
    """Start without the parent's thread, which does not live in a child."""
    global _waker  # noqa: PLW0603 - one per process
    _waker = _Waker()


os.register_at_fork(after_in_child=_begin_anew)
