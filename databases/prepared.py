"""Read with a statement that the server keeps prepared: parsed and, in time, planned only once.

For the few statements that a site repeats all day and that take less time than their planning.
Behind a pooler that mixes sessions nothing is prepared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, Self, cast

import psycopg
from django.db import DatabaseError, connections
from psycopg import errors
from psycopg.pq import TransactionStatus

from databases import kept
from databases.backend.connection import Reporting
from databases.placement import alias_of

Parameters = Sequence[Any] | Mapping[str, Any]
_PLACE: Final = re.compile(r"%(?:\((?P<name>\w+)\))?s")


def fetch_all(app_label: str, sql: str, parameters: Parameters) -> list[tuple[Any, ...]]:
    """Return the rows of a SELECT from the database where `app_label` lives, as psycopg reads them.

    :param sql: with `%s` or `%(name)s` for parameters, whose types PostgreSQL can tell from where
        they stand, and no other percent signs.
    :raises django.db.Error: as a cursor does.
    """
    wrapper: Any = connections[alias_of(app_label)]
    try:
        return _rows(wrapper, sql, parameters)
    except DatabaseError as error:
        outdated = isinstance(
            error.__cause__, errors.InvalidSqlStatementName | errors.FeatureNotSupported
        )
        if not outdated or _in_transaction(wrapper):
            raise
    return _rows(wrapper, sql, parameters)  # which prepares anew


def _rows(wrapper: Any, sql: str, parameters: Parameters) -> list[tuple[Any, ...]]:
    wrapper.ensure_connection()
    if wrapper.settings_dict["POLYSTORE"]["pooler"]:
        cursor = wrapper.cursor()
    else:
        by_name = ByName(wrapper.connection)
        by_name.owner = wrapper
        cursor = wrapper._prepare_cursor(by_name)
    with cursor:
        cursor.execute(sql, parameters)
        return cast(list[tuple[Any, ...]], cursor.fetchall())


def _in_transaction(wrapper: Any) -> bool:
    status = wrapper.connection.info.transaction_status
    return bool(wrapper.in_atomic_block) or status != TransactionStatus.IDLE


class _Named(psycopg.Cursor[Any]):
    """A cursor that runs every statement by its name."""

    def execute(self, query: Any, params: Any = (), **_: Any) -> Self:
        """Have the server run `query`, which it keeps or is told to keep."""
        connection = self.connection
        literal = kept.literals(connection)
        try:
            statement, names = _numbered(query)
            name = kept.name_of(connection, statement)
            places = [params[one] for one in names] if names else params
            values = b",".join([literal(value) for value in places])
            given = b"(" + values + b")" if places else b""
            return super().execute(b"EXECUTE " + name + given, prepare=False, binary=True)
        except psycopg.Error as error:
            kept.doubt(connection, error)
            raise


class ByName(Reporting, _Named):
    """The same, reporting the statement's text."""


@cache
def _numbered(sql: str) -> tuple[bytes, tuple[str, ...]]:
    """Return `sql` as PREPARE takes it, with $1, $2 …, and the names that these have, if any."""
    numbers: dict[str, int] = {}

    def number(place: re.Match[str]) -> str:
        name = place["name"] or f"%{len(numbers)}"
        return f"${numbers.setdefault(name, len(numbers) + 1)}"

    statement = _PLACE.sub(number, sql).encode()
    return statement, tuple(name for name in numbers if not name.startswith("%"))
