"""A connection to the primary of a drainer's own: in autocommit, never pooled, kept between tasks.

Shards are owned by advisory locks of the session, so it must lead to one and the same server
process as long as it lives: around a transaction pooler, and never through Django's pool.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import psycopg

from common.errors import PolystoreError
from databases.migration.connect import direct_wrapper
from databases.placement import alias_of
from outbox.recording import APP

NAME: Final = "polystore:outbox"
_SETTINGS: Final = (
    # To forget after a crash that something was delivered only has it delivered again.
    "SET synchronous_commit = off",
    "SET default_transaction_isolation = 'read committed'",
    # The table shrinks to nothing and grows by thousands within a second, so statistics are always
    # wrong: each of our statements goes by its index.
    "SET enable_seqscan = off",
    "SET enable_bitmapscan = off",
    # A machine that vanished must not own its shards for hours.
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)


Parameters = Sequence[Any] | Mapping[str, Any]


class DirectConnectionNeeded(PolystoreError):
    """Delivery owns its shards by locks of a session, which a transaction pooler cannot keep."""

    code = "outbox.direct_connection_needed"
    status = 503
    title = "Delivery needs a connection around the pooler"
    remedy = "Set PRIMARY_DIRECT_DATABASE_URL to the address of the server behind the pooler."


class Session:
    """One connection; `run` executes a statement and returns its rows."""

    def __init__(self) -> None:
        """Connect.

        :raises databases.breaker.AliasUnavailable: while the primary is known to be away.
        :raises psycopg.OperationalError: when it does not answer.
        :raises DirectConnectionNeeded: where the only way leads through a transaction pooler.
        """
        wrapper: Any = direct_wrapper(alias_of(APP))
        if wrapper.settings_dict["POLYSTORE"]["pooler"]:
            raise DirectConnectionNeeded
        self.postgres: bool = wrapper.vendor == "postgresql"
        """False for a database without advisory locks and WAL: CockroachDB."""
        self.connection: psycopg.Connection[Any] = wrapper.get_new_connection(
            wrapper.get_connection_params()
        )
        try:
            self.connection.autocommit = True
            self.connection.prepare_threshold = 3
            # Operators see in pg_stat_activity which process delivers.
            self.run("SELECT set_config('application_name', %s, false)", [f"{NAME}:{os.getpid()}"])
            for statement in _SETTINGS if self.postgres else ():
                self.run(statement)
        except BaseException:
            self.connection.close()
            raise

    def run(self, statement: Any, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """Execute and return all rows, or none where the statement has no result."""
        # A plain cursor: these are no statements of the site, and Django's binds in the client.
        cursor = psycopg.Cursor(self.connection)
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description is not None else []

    def run_both(self, first: Any, second: Any) -> tuple[list[Any], list[Any]]:
        """Execute two statements, one after the other, in one round trip."""
        with self.connection.pipeline():
            one = psycopg.Cursor(self.connection).execute(first)
            two = psycopg.Cursor(self.connection).execute(second)
            return one.fetchall(), two.fetchall()

    def close(self) -> None:
        """End it, and with it every lock."""
        self.connection.close()


_idle: list[Session] = []
_lock = threading.Lock()
_of_the_parent: list[Any] = []


def take() -> Session:
    """Return this process's idle session, or a new one."""
    with _lock:
        kept = _idle.pop() if _idle else None
    return kept if kept is not None else Session()


def unlock(session: Session) -> None:
    """Give up every lock of the session."""
    if session.postgres:
        session.run("SELECT pg_advisory_unlock_all()")


def give_back(session: Session) -> None:
    """Keep a session that works, without its locks, for the next task of this process."""
    try:
        unlock(session)
    except psycopg.Error:
        session.close()
        return
    with _lock:
        _idle.append(session)


def close_idle() -> None:
    """End the sessions that nobody uses."""
    with _lock:
        sessions, _idle[:] = list(_idle), []
    for session in sessions:
        session.close()


def _leave_to_the_parent() -> None:
    """Neither use nor close what the parent's server process talks to."""
    global _lock  # noqa: PLW0603 - the child's own
    _of_the_parent.extend(_idle)
    _idle.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_leave_to_the_parent)
