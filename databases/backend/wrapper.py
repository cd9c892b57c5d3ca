"""What both engines share: breaker before every connection, pools that survive forks, writes."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable
from datetime import UTC
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, ProgrammingError, connections
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql.base import TIMESTAMPTZ_OID
from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper
from django.db.backends.postgresql.psycopg_any import register_tzloader
from django.db.backends.utils import debug_transaction
from psycopg import IsolationLevel
from psycopg.pq import ConnStatus, Format
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from databases import causality, guards, kept
from databases.aliases import primary_of
from databases.backend import connection as ours
from databases.backend.failover import ReplicaCursor, ReplicaDebugCursor
from databases.backend.homes import ChangedHomes
from databases.backend.statements import changes_rows
from databases.breaker import AliasUnavailable, Breaker, get, register
from databases.deferred import DeferredRows
from databases.probe import ask, conninfo_of
from databases.transactions import CommitUnknown, in_transaction, note_begun, note_ended

logger = logging.getLogger("databases.failover")

PROBE_SECONDS = 0.8
"""How long a probe of an open breaker waits; the next one follows."""
FIRST_LOOK = 0.25
"""Seconds after which a caller that waits for a connection has the server probed beside it."""
NOT_OURS = {"role": "other", "session": {}, "pooler": False, "pool_timeout": 2.0}
"""For connections beside our databases, such as the one that creates and drops test databases:
it may wait long, and a probe of a database that is being dropped would wait with it."""
_REPORTING = (
    ours.Cursor,
    ours.ServerBindingCursor,
    ours.NamedCursor,
    ours.NamedServerBindingCursor,
)
FIRST_SLICE = 0.02
LONGEST_SLICE = 0.1
"""Seconds of one wait on the pool: it does not tell its waiters that a server refused."""
DRAIN_EVERY = 1.0

ConnectionPool_ = ConnectionPool[Any]


_POOLS: dict[str, ConnectionPool_] = PostgresWrapper._connection_pools  # type: ignore[attr-defined]


def open_pools() -> dict[str, ConnectionPool_]:
    """Return this process's pools by alias: the dictionary that Django's backend keeps them in."""
    return _POOLS


def breaker_of(settings: dict[str, Any]) -> Breaker:
    """Return the breaker of the database that a DATABASES entry names, made on first use."""
    alias = settings["POLYSTORE"]["alias"]
    known = get(alias)
    if known is not None:
        return known

    def probe() -> None:
        ask(conninfo_of(settings), "SELECT 1", timeout=PROBE_SECONDS)

    return register(Breaker(alias, probe=probe, on_recovery=lambda: replace_pool(alias)))


def replace_pool(alias: str) -> None:
    """Give up the pool of `alias`; the next caller opens a new one.

    After an outage a pool still waits out the back-off of its last failed attempt to grow, for
    seconds, and lets nobody else try. Connections in use end when they come back to it.
    """
    pool = open_pools().pop(alias, None)
    if pool is not None:
        # Beside the caller: it waits for the pool's workers, which may be waiting to connect.
        threading.Thread(target=pool.close, name=f"close-{alias}", daemon=True).start()


_drained: dict[str, float] = {}


def _drain_after_a_loss(alias: str) -> None:
    """Replace idle connections at most once a second: many lost ones are one restart."""
    now = time.monotonic()
    pool = open_pools().get(alias)
    if pool is not None and not pool.closed and now - _drained.get(alias, 0.0) > DRAIN_EVERY:
        _drained[alias] = now
        pool.drain()


class WatchedWrapper(PostgresWrapper):
    """A DatabaseWrapper that never waits for a server known to be down, and knows what it wrote."""

    has_wal_positions = False
    """True where `pg_current_wal_flush_lsn()` exists."""
    commits_with_rows = False
    """True where one message may hold several statements, the last of them the COMMIT."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Start clean: nothing written in the transaction that is not open yet."""
        super().__init__(*args, **kwargs)
        self.wrote_in_transaction = False
        self.substituted = False
        """True while the primary stands in for the replica that this wrapper is for."""
        self.changed = ChangedHomes()
        self.deferred = DeferredRows()
        """Rows that the open transaction will insert together with its COMMIT."""
        self.primary = primary_of(self.alias)
        """The alias that this one is a copy of, or itself."""
        self._polystore: dict[str, Any] = self.settings_dict.get("POLYSTORE") or NOT_OURS
        if self.alias == NO_DB_ALIAS:
            self._polystore = NOT_OURS

    @property
    def pool(self) -> ConnectionPool_ | None:
        """Return this alias's pool, opened on first use in this process, or None without one."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if not options or self.alias == NO_DB_ALIAS:
            return None
        found: ConnectionPool_ | None = _POOLS.get(self.alias)
        if found is None:
            parameters = self.get_connection_params()
            parameters["autocommit"] = True
            made: ConnectionPool_ = ConnectionPool(
                kwargs=parameters,
                open=False,
                configure=self._configure_connection,  # type: ignore[attr-defined]
                connection_class=self._connection_class(),
                **options,
            )
            found = _POOLS.setdefault(self.alias, made)
        return found

    def get_connection_params(self) -> dict[str, Any]:
        """Return psycopg's parameters, with our reporting cursors."""
        parameters: dict[str, Any] = super().get_connection_params()
        server_side = self.settings_dict["OPTIONS"].get("server_side_binding") is True
        parameters["cursor_factory"] = ours.ServerBindingCursor if server_side else ours.Cursor
        if self.timezone is UTC:
            parameters["context"] = ours.with_quick_timestamps(parameters["context"])
        return parameters

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a connection, from the pool where there is one.

        :raises AliasUnavailable: at once while the breaker is open, else after the pool's timeout.
        :raises ImproperlyConfigured: where no URL names this database.
        """
        if self._polystore["role"] == "unconfigured":
            variable = self._polystore["variable"]
            raise ImproperlyConfigured(f"{variable} is not set. Set it to the database's URL.")
        self.isolation_level = self.settings_dict["OPTIONS"].get(
            "isolation_level", IsolationLevel.READ_COMMITTED
        )
        try:
            found = self._new_connection(conn_params)
        except (AliasUnavailable, psycopg.OperationalError) as error:
            if self._polystore["role"] != "replica" or self.in_atomic_block:
                raise
            found = self._connection_of_the_primary(error)
        if "isolation_level" in self.settings_dict["OPTIONS"]:
            found.isolation_level = self.isolation_level
        return found

    def _new_connection(self, conn_params: dict[str, Any]) -> Any:
        if self._polystore["role"] == "other":
            return self._connection_class().connect(**conn_params)
        breaker = breaker_of(self.settings_dict)
        breaker.require()
        if self.pool is not None:
            return self._from_pool(breaker)
        return self._connection_class().connect(**conn_params)

    def _connection_of_the_primary(self, reason: Exception) -> Any:
        """Return a connection of the primary, to stand in for the replica."""
        primary = connections[primary_of(self.alias)]
        found = primary.get_new_connection(primary.get_connection_params())
        self.substituted = True
        state = causality.current()
        if state is not None:
            state.degraded.add(self.alias)
        logger.warning(
            "database.replica.substituted",
            extra={"alias": self.alias, "reason": type(reason).__name__},
        )
        return found

    def cursor_on_the_primary(self, *, name: str | None, reason: Exception) -> Any:
        """Give up the replica's connection and return a cursor on the primary's.

        :param name: of a server-side cursor, or None.
        """
        self.close()
        self.connection = self._connection_of_the_primary(reason)
        self.set_autocommit(True)
        self.init_connection_state()
        return self.create_cursor(name)

    def make_cursor(self, cursor: Any) -> Any:
        """Return Django's cursor; a replica's may repeat its statement on the primary."""
        if self._polystore["role"] == "replica":
            return ReplicaCursor(cursor, self)
        return super().make_cursor(cursor)

    def make_debug_cursor(self, cursor: Any) -> Any:
        """Return Django's cursor that logs; a replica's may repeat on the primary."""
        if self._polystore["role"] == "replica":
            return ReplicaDebugCursor(cursor, self)
        return super().make_debug_cursor(cursor)

    def create_cursor(self, name: str | None = None) -> Any:
        """Return a cursor that reports its statements to this wrapper."""
        cursor = self._named_cursor(name) if name else self.connection.cursor()
        loader = self.connection.adapters.get_loader(TIMESTAMPTZ_OID, Format.TEXT)
        if loader is not ours.TIMESTAMPS and self.timezone != loader.timezone:
            register_tzloader(self.timezone, cursor)
        if isinstance(cursor, _REPORTING):
            cursor.owner = self
        return cursor

    def _named_cursor(self, name: str) -> Any:
        """Return a server-side cursor as Django's backend does, but one that reports."""
        server_side = self.settings_dict["OPTIONS"].get("server_side_binding") is True
        kind: Any = ours.NamedServerBindingCursor if server_side else ours.NamedCursor
        return kind(
            self.connection, name=name, scrollable=False, withhold=self.connection.autocommit
        )

    def _from_pool(self, breaker: Breaker) -> Any:
        """Wait for a pooled connection, but only as long as the server seems to be there.

        :raises AliasUnavailable: when the breaker opens meanwhile, or the pool's timeout passes.
        """
        started = time.monotonic()
        patience = self._polystore["pool_timeout"]
        wait = min(FIRST_SLICE, patience)
        while True:
            found = self._taken(wait)
            if found is not None:
                return found
            waited = time.monotonic() - started
            if breaker.is_open or waited >= patience:
                breaker.suspect("no connection became free in time")
                raise AliasUnavailable(self.alias)
            if waited > FIRST_LOOK:
                breaker.suspect("a caller waits long for a connection")
            wait = max(0.001, min(LONGEST_SLICE, wait * 2, patience - waited))

    def _taken(self, wait: float) -> Any:
        """Return a living connection within `wait` seconds, or None."""
        pool = self.pool
        assert pool is not None  # noqa: S101 - the caller asked before
        try:
            pool.open()
            found = pool.getconn(timeout=wait)
        except (PoolTimeout, PoolClosed):
            return None
        if not _is_cut(found):
            return found
        # Its server restarted while it lay idle, and so did it to all of its siblings.
        pool.putconn(found)
        pool.drain()
        return None

    def _connection_class(self) -> type[ours.WatchedConnection]:
        if self._polystore["role"] == "other":
            return psycopg.Connection  # type: ignore[return-value]
        alias = self.alias
        statement_timeout = self._polystore["session"].get("statement_timeout")
        pooled_elsewhere = self._polystore["pooler"] and statement_timeout
        return ours.watched(
            breaker=breaker_of(self.settings_dict),
            on_lost=lambda: _drain_after_a_loss(alias),
            cancel_after=int(statement_timeout) / 1000 if pooled_elsewhere else None,
        )

    def _set_autocommit(self, autocommit: bool) -> None:  # noqa: FBT001 - Django's signature
        if autocommit and self.deferred:
            raise ProgrammingError("Rows wait for the COMMIT: commit or roll back first.")
        super()._set_autocommit(autocommit)  # type: ignore[misc]
        (note_ended if autocommit else note_begun)(self)
        if not autocommit and self._polystore["pooler"] and self._polystore["session"]:
            # Behind a pooler the bounds cannot come with the connection: each transaction sets
            # them for itself.
            calls = ", ".join("set_config(%s, %s, true)" for _ in self._polystore["session"])
            values = [part for pair in self._polystore["session"].items() for part in pair]
            with self.wrap_database_errors, self.connection.cursor() as cursor:
                cursor.execute(f"SELECT {calls}", values)

    def before_statement(self, query: str) -> None:
        """Have the guards look at a statement of a cursor of ours before it runs.

        :raises CrossesDatabases: where they refuse it.
        """
        guards.examine(self, query)

    def after_statement(self, query: str, tag: str) -> None:
        """Note whether a statement that ran has changed rows."""
        if changes_rows(query, tag):
            if self.in_atomic_block or not self.autocommit:
                self.wrote_in_transaction = True
            else:
                causality.note_commit(self.alias)
        elif tag.startswith("SELECT"):
            guards.note_reading(self, query)
        elif tag in {"DISCARD ALL", "DEALLOCATE ALL"}:
            kept.forget(self.connection)

    def _savepoint(self, sid: str) -> None:
        super()._savepoint(sid)  # type: ignore[misc]
        if not in_transaction(self):
            self.changed.ended()  # Within a TestCase, this savepoint begins the transaction.
        self.changed.savepoint(sid)
        self.deferred.savepoint(sid)

    def _savepoint_rollback(self, sid: str) -> None:
        super()._savepoint_rollback(sid)  # type: ignore[misc]
        self.changed.rolled_back_to(sid)
        self.deferred.rolled_back_to(sid)

    def _savepoint_commit(self, sid: str) -> None:
        super()._savepoint_commit(sid)  # type: ignore[misc]
        self.changed.released(sid)
        if self.deferred and not in_transaction(self):
            self._send_deferred()  # Within a TestCase, it is over here.
        if self.changed and not in_transaction(self):
            guards.note_commit(self, self.changed.ended())  # Within a TestCase, it is over here.

    def _commit(self) -> None:
        if self.deferred:
            self.wrote_in_transaction = True
        try:
            if self.deferred:
                self._commit_with_deferred()
            else:
                super()._commit()  # type: ignore[misc]
        except OperationalError as error:
            if self.wrote_in_transaction and self.connection.pgconn.status == ConnStatus.BAD:
                raise CommitUnknown(self.alias) from error.__cause__
            raise
        if self.changed:
            guards.note_commit(self, self.changed.ended())
        if self.wrote_in_transaction:
            self.wrote_in_transaction = False
            causality.note_commit(self.alias)
        self.deferred.committed()

    def _commit_with_deferred(self) -> None:
        if not self.commits_with_rows:
            self._send_deferred()
            super()._commit()  # type: ignore[misc]
            return
        with debug_transaction(self, "COMMIT"), self.wrap_database_errors:
            self.deferred.send(self.connection, commit=True, prepare=not self._polystore["pooler"])

    def _send_deferred(self) -> None:
        with self.wrap_database_errors:
            self.deferred.send(self.connection, commit=False)

    def _rollback(self) -> None:
        self.wrote_in_transaction = False
        self.changed.ended()
        self.deferred.clear()
        super()._rollback()  # type: ignore[misc]

    def _close(self) -> None:
        note_ended(self)
        self.wrote_in_transaction = False
        self.changed.ended()
        self.deferred.clear()
        self.substituted = False
        super()._close()  # type: ignore[misc]


def _is_cut(connection: Any) -> bool:
    """Tell, without a round trip, whether an idle connection has ended.

    An idle server says nothing: what can be read from it is its goodbye, or a notice.
    """
    poller = select.poll()
    poller.register(connection.pgconn.socket, select.POLLIN)
    try:
        # Twice: its last words come first, the end of the stream behind them.
        for _ in range(2):
            if not poller.poll(0):
                return False
            connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return True
    return bool(connection.pgconn.status == ConnStatus.BAD)


_of_the_parent: list[Any] = []
"""Connections and pools that a child inherited. Never closed and never freed here: closing would
send the parent's server a goodbye over the socket that both share."""


def _leave_to_the_parent() -> None:
    pools = open_pools()
    _of_the_parent.append(dict(pools))
    pools.clear()
    _drained.clear()
    for wrapper in connections.all(initialized_only=True):
        if wrapper.connection is not None:
            _of_the_parent.append(wrapper.connection)
            wrapper.connection = None
            wrapper.in_atomic_block = False
            wrapper.savepoint_ids = []
            wrapper.needs_rollback = False
            wrapper.run_on_commit = []


def register_fork_guard(register_at_fork: Callable[..., None] = os.register_at_fork) -> None:
    """Make every child that this process forks start without its parent's connections.

    A pool opened before a fork cannot grow in the child, whose copy has no worker threads, and
    parent and child would speak over the same socket.
    """
    register_at_fork(after_in_child=_leave_to_the_parent)


register_fork_guard()
