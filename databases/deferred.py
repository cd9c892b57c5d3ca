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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import psycopg
from psycopg import sql

from databases import kept

logger = logging.getLogger("databases.deferred")

Row = Sequence[Any]
Afterwards = Callable[[], object]
"""Called once after the commit, however many rows name it. Must be quick, and use no database."""
AT_ONCE: Final = 1_000
"""Rows of one statement: the server plans each as a whole."""


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
            kept.run(connection, b";".join([*statements, b"COMMIT"] if commit else statements))
        except psycopg.Error as error:
            kept.doubt(connection, error)
            raise


def _statements(
    connection: psycopg.Connection[Any], rows: Mapping[Target, Sequence[Row]], *, prepare: bool
) -> Iterator[bytes]:
    literal = kept.literals(connection)
    for target, all_rows in rows.items():
        values = [b"(" + b",".join([literal(value) for value in row]) + b")" for row in all_rows]
        if prepare and len(values) == 1:
            yield b"EXECUTE " + kept.name_of(connection, _one_row(target)) + values[0]
            continue
        for start in range(0, len(values), AT_ONCE):
            yield _head(target) + b",".join(values[start : start + AT_ONCE])


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
