"""Statements that the server keeps prepared for a connection, under names that tell what they do.

Not by the driver, which would have the server forget all of them at every rollback. Rows that are
inserted with their COMMIT go by them, and reads that take less time than their planning.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from hashlib import sha256
from typing import Any, Final
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg
from psycopg import generators
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import Escaping, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn

FATAL_ERROR: Final = ExecStatus.FATAL_ERROR
IDLE: Final = TransactionStatus.IDLE
_OUTDATED: Final = ("0A", "22", "42")
"""Classes of SQLSTATEs that a statement gives when its table is not what it was prepared for."""


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
            run(connection, b"DEALLOCATE " + kept.names[known])
            del kept.names[known]
        kept.doubtful = False
    name = kept.names.get(statement)
    if name is None:
        name = b"kept_" + sha256(statement).hexdigest()[:24].encode()
        kept.names[statement] = name
        try:
            run(connection, b"PREPARE " + name + b" AS " + statement)
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


def run(connection: psycopg.Connection[Any], statements: bytes) -> None:
    """Send one message of several statements; raise what the server says against it.

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
