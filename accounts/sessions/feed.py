"""News from the primary: a connection of this process's own that listens, and a heart that beats.

Triggers say with NOTIFY which sessions ended or changed and which users did. What this process
remembers counts only while the primary has answered a moment ago on that very connection: whoever
cannot hear does not know what he missed.
"""

from __future__ import annotations

import logging
import os
import random
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from django.db import router
from psycopg.pq import ExecStatus

from accounts.models import Session
from accounts.sessions.memory import memory
from common.errors import PolystoreError
from databases.migration.connect import direct_wrapper

logger = logging.getLogger("accounts.sessions")

CHANNEL: Final = "accounts_sessions"
"""The migration's triggers name the same."""
BEAT_SECONDS: Final = 0.2
BELIEVED_SECONDS: Final = 0.7
"""How long after the last beat memory still counts. With the longest request, below a second."""
ANSWER_SECONDS: Final = 5.0
"""A server that says nothing for so long is connected to anew."""
PAUSES: Final = (0.1, 0.2, 0.5)


class CannotListen(PolystoreError):
    """The primary cannot tell of ended sessions, so each request asks it."""

    code = "accounts.cannot_listen"
    status = 503
    title = "Nobody tells of ended sessions"
    remedy = "Behind a transaction pooler, set PRIMARY_DIRECT_DATABASE_URL to the server itself."


class _Ear:
    """The thread of one process, and when it last heard the primary."""

    def __init__(self) -> None:
        self.heard = float("-inf")
        self.times = 0
        """How often it began to listen."""
        self.listens = False
        """Whether a connection is open on which it would hear."""
        self.missed = float("-inf")
        """When it last knew the primary to answer while it could not hear it."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def keep_listening(self) -> None:
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._listen_in_turn, name="sessions-feed", daemon=True
                )
                self._thread.start()

    def _listen_in_turn(self) -> None:
        failures = 0
        while True:
            begun = self.times
            try:
                with _connection() as connection:
                    self._listen(connection)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next try may do better
                failures = 0 if self.times > begun else failures + 1
                if failures in {0, 1}:
                    reason = getattr(error, "code", type(error).__name__)
                    logger.warning("sessions.feed.lost", extra={"reason": reason})
            time.sleep(PAUSES[min(failures, len(PAUSES) - 1)] * random.uniform(0.75, 1.25))

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(f"LISTEN {CHANNEL}".encode())
        # What was read before could have changed unheard.
        memory.begin_anew()
        self.times += 1
        wire = _Wire(connection)
        self.listens = True
        try:
            while True:
                sent = time.monotonic()
                wire.ask(until=sent + ANSWER_SECONDS)
                self.heard = sent
                wire.hear(until=sent + BEAT_SECONDS)
        finally:
            self.listens = False


class _Wire:
    """The connection below psycopg's cursors, which would wait for an answer without end."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._pg: Any = connection.pgconn

    def ask(self, *, until: float) -> None:
        """Return when the server has answered; hear what it says before.

        :raises TimeoutError: when it does not in time.
        """
        self._pg.send_query(b"SELECT 1")
        while self._pg.flush():
            self._wait(until, writing=True)
        while True:
            while self._pg.is_busy():
                if not self._wait(until):
                    raise TimeoutError
                self._take()
            result = self._pg.get_result()
            if result is None:
                self._take()
                return
            if result.status != ExecStatus.TUPLES_OK:
                raise psycopg.OperationalError("The server does not answer as it should.")

    def hear(self, *, until: float) -> None:
        """Hear until then."""
        while self._wait(until):
            self._take()

    def _take(self) -> None:
        self._pg.consume_input()
        names = []
        while (news := self._pg.notifies()) is not None:
            names.append(news.extra.decode())
        if names:
            memory.hear(*names)

    def _wait(self, until: float, *, writing: bool = False) -> bool:
        """Return True when there is something to read (or room to write), False at the end."""
        socket = self._pg.socket
        poll = select.poll()
        poll.register(socket, select.POLLOUT if writing else select.POLLIN)
        return bool(poll.poll(max(0.0, until - time.monotonic()) * 1000))


_ear = _Ear()


def keep_listening() -> None:
    """Listen from now on, in one thread per process."""
    _ear.keep_listening()


def is_live() -> bool:
    """Tell whether this process hears of everything: what it remembers counts."""
    return time.monotonic() - _ear.heard < BELIEVED_SECONDS


def note_an_answer() -> None:
    """Note that the primary answers: where this process does not hear it, ends may pass by."""
    if not (_ear.listens and is_live()):
        _ear.missed = time.monotonic()


def may_have_missed(moment: float) -> bool:
    """Tell whether an end may have passed by this process after a `time.monotonic()`."""
    return _ear.missed > moment


def heard_until() -> float:
    """Return the `time.monotonic()` before which nothing happened that was not heard."""
    return _ear.heard


def times() -> int:
    """Return how often this process began to listen; another number means a gap before it."""
    return _ear.times


@contextmanager
def _connection() -> Iterator[psycopg.Connection[Any]]:
    """Connect to the primary, around poolers, in autocommit.

    :raises CannotListen: where the only way leads through a pooler, or the server is no PostgreSQL.
    """
    wrapper: Any = direct_wrapper(router.db_for_write(Session))
    if wrapper.vendor != "postgresql" or wrapper.settings_dict["POLYSTORE"]["pooler"]:
        raise CannotListen
    connection: psycopg.Connection[Any] = wrapper.get_new_connection(
        wrapper.get_connection_params()
    )
    try:
        connection.autocommit = True
        connection.execute(b"SET idle_session_timeout = 0")
        yield connection
    finally:
        connection.close()


def _begin_anew() -> None:
    global _ear  # noqa: PLW0603 - the child's own; the parent's thread does not live here
    _ear = _Ear()


os.register_at_fork(after_in_child=_begin_anew)
