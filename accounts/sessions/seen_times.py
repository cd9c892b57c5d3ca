"""When sessions were last seen: written at most once a minute each, and in nobody's way."""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import timedelta
from typing import Final

from django.db import Error, connections
from django.utils import timezone

from accounts.sessions import primary
from common.errors import PolystoreError

logger = logging.getLogger("accounts.sessions")

AT_MOST_EVERY: Final = 60.0
WRITE_EVERY: Final = 10.0
MOST_AT_ONCE: Final = 2_000


class _Writer:
    """The sessions that were seen since the last writing, and the thread that writes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._waiting: set[str] = set()
        self._noted: dict[str, float] = {}

    def note(self, session_id: str) -> None:
        now = time.time()
        if now - self._noted.get(session_id, 0.0) < AT_MOST_EVERY:
            return
        with self._lock:
            self._noted[session_id] = now
            self._waiting.add(session_id)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._write_in_turn, name="sessions-seen", daemon=True
                )
                self._thread.start()

    def write(self) -> int:
        with self._lock:
            waiting, self._waiting = self._waiting, set()
            old = time.time() - AT_MOST_EVERY
            self._noted = {key: at for key, at in self._noted.items() if at > old}
        return write(waiting)

    def _write_in_turn(self) -> None:
        while True:
            time.sleep(WRITE_EVERY)
            try:
                self.write()
            except (Error, PolystoreError) as error:
                logger.info("sessions.seen.not_written", extra={"reason": type(error).__name__})
            finally:
                connections.close_all()


_writer = _Writer()


def note(session_id: str, *, last: float) -> None:
    """Have it written, within seconds, that a session was seen now.

    :param last: when it was seen last, as far as the caller knows.
    """
    if time.time() - last >= AT_MOST_EVERY:
        _writer.note(session_id)


def write(session_ids: set[str]) -> int:
    """Write that these were seen now, but for those seen within the last minute.

    :returns: how many were written.
    """
    now = timezone.now()
    ordered = sorted(session_ids)
    count = 0
    for start in range(0, len(ordered), MOST_AT_ONCE):
        count += (
            primary.rows()
            .filter(
                pk__in=ordered[start : start + MOST_AT_ONCE],
                last_seen_at__lt=now - timedelta(seconds=AT_MOST_EVERY - 1),
            )
            .update(last_seen_at=now)
        )
    return count


def _begin_anew() -> None:
    global _writer  # noqa: PLW0603 - the child's own
    _writer = _Writer()


os.register_at_fork(after_in_child=_begin_anew)
