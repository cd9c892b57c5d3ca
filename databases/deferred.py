"""Rows that are inserted together with the COMMIT of their transaction: no round trip of their own.

Rows and COMMIT go to the server as one message of several statements (PostgreSQL manual §54.2.2.1):
either both happen or neither does. Until then the rows are not in the database: their own
transaction cannot read them, and a fault in them surfaces as a failed commit.

One row of a kind, the usual case, is written by a statement that the server keeps prepared: that
and the one message cost a commit half of what libpq's pipeline mode does. Its name says what it
does, so that a server process which several connections share by mistake never writes elsewhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any, Final
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg
from psycopg import generators, sql
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import Escaping, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn

logger = logging.getLogger("databases.deferred")

FATAL_ERROR: Final = ExecStatus.FATAL_ERROR
IDLE: Final = TransactionStatus.IDLE
Row = Sequence[Any]
Afterwards = Callable[[], object]
"""Called once after the commit, however many rows name it. Must be quick, and use no database."""
AT_ONCE: Final = 1_000
"""Rows of one statement: the server plans each as a whole."""
_OUTDATED: Final = ("0A", "22", "42")
"""Classes of SQLSTATEs that a statement gives when its table is not what it was prepared for."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows go."""

    table: str
    columns: tuple[str, ...]


class DeferredRows:
    """The rows that one connection's transaction will insert as it commits, in order."""

    __slots__ = ("_afterwards", "_rows", "_savepoints")

    def __init__(self) -> None:
        """Begin with none."""
        self._rows: list[tuple[Target, Row, Afterwards | None]] = []
        self._afterwards: list[Afterwards] = []
        self._savepoints: dict[str, int] = {}

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._rows)

    def add(self, target: Target, row: Row, afterwards: Afterwards | None = None) -> None:
        """Keep `row`, which is dropped when a savepoint that is open now is rolled back."""
        self._rows.append((target, row, afterwards))

    def savepoint(self, sid: str) -> None:
        """Note what was there when the savepoint was set."""
        self._savepoints[sid] = len(self._rows)

    def rolled_back_to(self, sid: str) -> None:
        """Drop what was added since the savepoint."""
        del self._rows[self._savepoints.get(sid, len(self._rows)) :]

    def clear(self) -> None:
        """Drop everything."""
        if self._rows or self._afterwards or self._savepoints:
            self._rows, self._afterwards, self._savepoints = [], [], {}

    def committed(self) -> None:
        """Call what was to be called after the commit, each function once.

        One that raises is logged: the transaction did commit, and its caller must not hear else.
        """
        if self._savepoints:
            self._savepoints = {}
        if self._afterwards:
            functions, self._afterwards = self._afterwards, []
            for function in functions:
                try:
                    function()
                except Exception:
                    logger.exception("database.after_commit.failed")

    def send(
        self, connection: psycopg.Connection[Any], *, commit: bool, prepare: bool = False
    ) -> None:
        """Write all rows, and forget them.

        :param commit: end the transaction with the same message.
        :param prepare: let the server keep statements; not where a pooler mixes sessions.
        :raises psycopg.Error: when the database refuses them; then nothing was committed.
        """
        rows, self._rows = self._rows, []
        by_target: dict[Target, list[Row]] = {}
        for target, row, _ in rows:
            by_target.setdefault(target, []).append(row)
        functions = dict.fromkeys(afterwards for *_, afterwards in rows if afterwards is not None)
        self._afterwards += functions
        try:
            statements = list(_statements(connection, by_target, prepare=prepare))
            _run(connection, b";".join([*statements, b"COMMIT"] if commit else statements))
        except psycopg.Error as error:
            doubt(connection, error)
            raise


def _statements(
    connection: psycopg.Connection[Any], rows: Mapping[Target, Sequence[Row]], *, prepare: bool
) -> Iterator[bytes]:
    literal = literals(connection)
    for target, all_rows in rows.items():
        values = [b"(" + b",".join([literal(value) for value in row]) + b")" for row in all_rows]
        if prepare and len(values) == 1:
            yield b"EXECUTE " + name_of(connection, _one_row(target)) + values[0]
            continue
        for start in range(0, len(values), AT_ONCE):
            yield _head(target) + b",".join(values[start : start + AT_ONCE])


def literals(connection: psycopg.Connection[Any]) -> Callable[[Any], bytes]:
    """Return what writes a value as SQL: psycopg's own way, shorter for what rows consist of."""
    quoted = Escaping(connection.pgconn).escape_literal

    def literal(value: Any) -> bytes:
        kind = type(value)
        if kind is str:
            return bytes(quoted(value.encode()))
        if kind is UUID:
            return b"'%s'" % str(value).encode()
        if value is None:
            return b"NULL"
        return b"%d" % value if kind is int else bytes(Transformer(connection).as_literal(value))

    return literal


class _Kept:
    """What one server process keeps for one connection."""

    __slots__ = ("doubtful", "names")

    def __init__(self) -> None:
        self.names: dict[bytes, bytes] = {}
        """Statement → its name."""
        self.doubtful = False
        """Drop them before the next use: a table may have changed."""


_kept: WeakKeyDictionary[psycopg.Connection[Any], _Kept] = WeakKeyDictionary()


def forget(connection: psycopg.Connection[Any]) -> None:
    """Prepare anew from now on: the server was told to drop what it kept (DISCARD ALL)."""
    _kept.pop(connection, None)


def name_of(connection: psycopg.Connection[Any], statement: bytes) -> bytes:
    """Return the name by which the server keeps `statement`; the first time, have it prepared.

    In a message of its own, so that it is known whether the server keeps it: that does not depend
    on how the transaction ends.
    """
    kept = _kept.get(connection)
    if kept is None:
        kept = _kept[connection] = _Kept()
    if kept.doubtful:
        for known in list(kept.names):
            _run(connection, b"DEALLOCATE " + kept.names[known])
            del kept.names[known]
        kept.doubtful = False
    name = kept.names.get(statement)
    if name is None:
        name = b"deferred_" + sha256(statement).hexdigest()[:24].encode()
        kept.names[statement] = name
        try:
            _run(connection, b"PREPARE " + name + b" AS " + statement)
        except psycopg.errors.DuplicatePreparedStatement:
            raise  # It is there already, and known from now on.
        except BaseException:
            del kept.names[statement]
            raise
    return name


def doubt(connection: psycopg.Connection[Any], error: psycopg.Error) -> None:
    """Look at what a statement by name was refused for: what the server keeps may be outdated."""
    if isinstance(error, psycopg.errors.InvalidSqlStatementName):
        forget(connection)
    elif (error.sqlstate or "").startswith(_OUTDATED) and connection in _kept:
        _kept[connection].doubtful = True


def _run(connection: psycopg.Connection[Any], statements: bytes) -> None:
    """Send one message; raise what the server says against it.

    Without a cursor: parameters, rows and their description cost more than a commit does.
    """
    if not connection.autocommit and connection.pgconn.transaction_status == IDLE:
        # Nothing ran yet: a cursor begins the transaction, with the isolation that was asked for.
        psycopg.Cursor(connection).execute(statements, prepare=False)
        return
    with connection.lock:
        connection.wait(_sent(connection.pgconn, statements))


def _sent(pgconn: PGconn, statements: bytes) -> Generator[Any, Any, None]:
    pgconn.send_query(statements)
    for result in (yield from generators.execute(pgconn)):
        if result.status == FATAL_ERROR:
            raise error_from_result(result)


@cache
def _head(target: Target) -> bytes:
    composed = sql.SQL("INSERT INTO {} ({}) VALUES ").format(
        sql.Identifier(target.table), sql.SQL(", ").join(map(sql.Identifier, target.columns))
    )
    return composed.as_bytes(None)


@cache
def _one_row(target: Target) -> bytes:
    places = b",".join([b"$%d" % place for place in range(1, len(target.columns) + 1)])
    return _head(target) + b"(" + places + b")"
