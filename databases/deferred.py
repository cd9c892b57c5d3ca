"""Rows that are inserted together with the COMMIT of their transaction: no round trip of their own.

They are written in one statement per table, sent in one network write with the COMMIT (libpq's
pipeline mode, PostgreSQL manual §32.5), and either both happen or neither does. Until then the
rows are not in the database: their own transaction cannot read them, and a fault in them surfaces
as a failed commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

Row = Sequence[Any]
AT_ONCE: Final = 1_000
"""Rows of one statement: PostgreSQL takes at most 65,535 parameters."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows go."""

    table: str
    columns: tuple[str, ...]


class DeferredRows:
    """The rows that one connection's transaction will insert as it commits, in order."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        """Begin with none."""
        self._rows: list[tuple[frozenset[str], Target, Row]] = []

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._rows)

    def add(self, savepoints: Sequence[str | None], target: Target, row: Row) -> None:
        """Keep `row`, which is dropped when one of the open savepoints is rolled back."""
        kept = frozenset(sid for sid in savepoints if sid is not None)
        self._rows.append((kept, target, row))

    def rolled_back_to(self, sid: str) -> None:
        """Drop what was added since the savepoint."""
        if self._rows:
            self._rows = [entry for entry in self._rows if sid not in entry[0]]

    def clear(self) -> None:
        """Drop everything."""
        if self._rows:
            self._rows = []

    def send(self, connection: psycopg.Connection[Any]) -> None:
        """Write all rows, and forget them; within a pipeline this waits for no answer.

        :raises psycopg.Error: when the database refuses them (in a pipeline: at its end).
        """
        rows, self._rows = self._rows, []
        by_target: dict[Target, list[Row]] = {}
        for _, target, row in rows:
            by_target.setdefault(target, []).append(row)
        cursor = psycopg.Cursor(connection)  # a plain one: these rows are no statement of the site
        for target, all_rows in by_target.items():
            for start in range(0, len(all_rows), AT_ONCE):
                some = all_rows[start : start + AT_ONCE]
                cursor.execute(
                    _insert(target, len(some)),
                    [value for row in some for value in row],
                    # One row is the usual case and worth a prepared statement.
                    prepare=None if len(some) == 1 else False,
                )


_statements: dict[tuple[Target, int], sql.Composed | bytes] = {}


def _insert(target: Target, count: int) -> Any:
    known = _statements.get((target, count))
    if known is None:
        one = sql.SQL("({})").format(sql.SQL(", ").join([sql.Placeholder()] * len(target.columns)))
        known = (
            sql.SQL("INSERT INTO {} ({}) VALUES {}")
            .format(
                sql.Identifier(target.table),
                sql.SQL(", ").join(map(sql.Identifier, target.columns)),
                sql.SQL(", ").join([one] * count),
            )
            .as_bytes(None)
        )
        if count == 1:
            _statements[target, count] = known
    return known
