"""Rows that are inserted together with the COMMIT of their transaction: no round trip of their own.

Rows and COMMIT go to the server as one message of several statements (PostgreSQL manual §54.2.2.1):
either both happen or neither does. Until then the rows are not in the database: their own
transaction cannot read them, and a fault in them surfaces as a failed commit.

One row of a kind, the usual case, is written by a statement that the server keeps prepared: that
and the one message cost a commit half of what libpq's pipeline mode does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final
from weakref import WeakKeyDictionary

import psycopg
from psycopg import sql
from psycopg.adapt import Transformer

Row = Sequence[Any]
Afterwards = Callable[[], object]
"""Called once after the commit, however many rows name it. Must be quick, and not raise."""
_NONE: Final[frozenset[str]] = frozenset()
AT_ONCE: Final = 1_000
"""Rows of one statement: the server plans each as a whole."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows go."""

    table: str
    columns: tuple[str, ...]


class DeferredRows:
    """The rows that one connection's transaction will insert as it commits, in order."""

    __slots__ = ("_afterwards", "_rows")

    def __init__(self) -> None:
        """Begin with none."""
        self._rows: list[tuple[frozenset[str], Target, Row, Afterwards | None]] = []
        self._afterwards: list[Afterwards] = []

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._rows)

    def add(
        self,
        savepoints: Sequence[str | None],
        target: Target,
        row: Row,
        afterwards: Afterwards | None = None,
    ) -> None:
        """Keep `row`, which is dropped when one of the open savepoints is rolled back."""
        kept = frozenset([sid for sid in savepoints if sid is not None]) if savepoints else _NONE
        self._rows.append((kept, target, row, afterwards))

    def rolled_back_to(self, sid: str) -> None:
        """Drop what was added since the savepoint."""
        if self._rows:
            self._rows = [entry for entry in self._rows if sid not in entry[0]]

    def clear(self) -> None:
        """Drop everything."""
        if self._rows or self._afterwards:
            self._rows, self._afterwards = [], []

    def committed(self) -> None:
        """Call what was to be called after the commit, each function once."""
        if self._afterwards:
            functions, self._afterwards = self._afterwards, []
            for function in functions:
                function()

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
        for _, target, row, _ in rows:
            by_target.setdefault(target, []).append(row)
        functions = dict.fromkeys(afterwards for *_, afterwards in rows if afterwards is not None)
        self._afterwards += functions
        literal = Transformer(connection).as_literal
        statements: list[bytes] = []
        known = len(_prepared.get(connection, ()))
        for target, all_rows in by_target.items():
            if prepare and len(all_rows) == 1:
                statements += _execution(connection, target, _values(all_rows[0], literal))
            else:
                statements += _insertions(target, [_values(row, literal) for row in all_rows])
        if commit:
            statements.append(b"COMMIT")
        cursor = psycopg.Cursor(connection)  # a plain one: these rows are no statement of the site
        try:
            cursor.execute(b";".join(statements), prepare=False)
        except BaseException as error:
            if len(_prepared.get(connection, ())) != known or _is_forgotten(error):
                _prepared.pop(connection, None)  # to be prepared anew, under another name
            raise


_prepared: WeakKeyDictionary[psycopg.Connection[Any], dict[Target, bytes]] = WeakKeyDictionary()
"""Connection → target → the name of the statement that its server process keeps."""
_numbers = count(1)
_heads: dict[Target, bytes] = {}


def _values(row: Row, literal: Callable[[Any], Any]) -> bytes:
    return b"(" + b",".join([literal(value) for value in row]) + b")"


def _insertions(target: Target, values: Sequence[bytes]) -> Iterator[bytes]:
    for start in range(0, len(values), AT_ONCE):
        yield _head(target) + b",".join(values[start : start + AT_ONCE])


def _execution(
    connection: psycopg.Connection[Any], target: Target, values: bytes
) -> Iterator[bytes]:
    """Yield the statement that inserts one row; before the first of a connection, its text."""
    names = _prepared.setdefault(connection, {})
    name = names.get(target)
    if name is None:
        name = names[target] = b"deferred_%d" % next(_numbers)
        places = b",".join([b"$%d" % place for place in range(1, len(target.columns) + 1)])
        yield b"PREPARE " + name + b" AS " + _head(target) + b"(" + places + b")"
    yield b"EXECUTE " + name + values


def _is_forgotten(error: BaseException) -> bool:
    return isinstance(error, psycopg.errors.InvalidSqlStatementName)  # somebody's DISCARD ALL


def _head(target: Target) -> bytes:
    known = _heads.get(target)
    if known is None:
        composed = sql.SQL("INSERT INTO {} ({}) VALUES ").format(
            sql.Identifier(target.table), sql.SQL(", ").join(map(sql.Identifier, target.columns))
        )
        known = _heads[target] = composed.as_bytes(None)
    return known
