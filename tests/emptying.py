"""Tables are emptied after a test that commits, as Django's `flush` leaves them and far sooner.

`flush` truncates every table and makes every permission anew, which takes longer than most tests,
and so does its replay on the replica. Here a table that holds nothing is left alone, one that holds
little is deleted from, and what `flush` itself writes stays if it is still the same. Anything else
is left to `flush`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.core.management import call_command
from django.db import ProgrammingError, connections, transaction
from django.test import TransactionTestCase
from psycopg.sql import SQL, Identifier

from databases.crossings import allow_cross_database

LARGE = 128 * 1024
"""Bytes of a table from which on it is truncated: dead rows would slow the tests that follow."""

Tables = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Left:
    """How `flush` left a database."""

    tables: Tables
    contents: dict[str, str]
    """A checksum of each table that was not empty."""


@dataclass
class Emptier:
    """Knows how `flush` leaves each database, from the first time on."""

    left: dict[tuple[str, str], Left] = field(default_factory=dict)

    def empty(self, alias: str) -> None:
        """Bring the database of an alias into the state in which `flush` leaves it."""
        connection = connections[alias]
        key = (alias, connection.settings_dict["NAME"])
        tables = tuple(sorted(connection.introspection.django_table_names(only_existing=True)))
        left = self.left.get(key)
        if left is None or left.tables != tables or not _emptied(connection, left):
            call_command(
                "flush", verbosity=0, interactive=False, database=alias, reset_sequences=False
            )
            self.left[key] = Left(tables, _contents(connection, tables))


def _emptied(connection: Any, left: Left) -> bool:
    """Delete what came since; return False, with nothing done, where that is not all."""
    sizes = _sizes(connection, left.tables)
    filled = [name for name in left.tables if sizes[name] and name not in left.contents]
    if any(sizes[name] > LARGE for name in filled):
        return False
    try:
        with (
            allow_cross_database(reason="With one database for all, all are emptied at once."),
            transaction.atomic(using=connection.alias),
            connection.cursor() as cursor,
        ):
            if _checksums(cursor, left.contents) != left.contents:
                return False
            # Without triggers: nothing is recorded, refused or looked up in other tables.
            cursor.execute("SET LOCAL session_replication_role = replica")
            for name in filled:
                cursor.execute(SQL("DELETE FROM {}").format(Identifier(name)))
    except ProgrammingError:  # not a superuser: POLYSTORE_TEST_SERVERS=environment
        return False
    return True


def _contents(connection: Any, tables: Sequence[str]) -> dict[str, str]:
    sizes = _sizes(connection, tables)
    with connection.cursor() as cursor:
        found = _checksums(cursor, [name for name in tables if sizes[name]])
    return {name: text for name, text in found.items() if text}


def _sizes(connection: Any, tables: Sequence[str]) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, pg_relation_size(to_regclass(quote_ident(name)))"
            " FROM unnest(%s::text[]) name",
            [list(tables)],
        )
        return dict(cursor.fetchall())


def _checksums(cursor: Any, tables: Sequence[str] | dict[str, str]) -> dict[str, str]:
    found = {}
    for name in tables:
        cursor.execute(
            SQL("SELECT md5(string_agg(row::text, '' ORDER BY row::text)) FROM {} row").format(
                Identifier(name)
            )
        )
        found[name] = cursor.fetchone()[0] or ""
    return found


@contextmanager
def tables_are_emptied() -> Iterator[None]:
    """Empty the tables so in this block."""
    emptier = Emptier()

    def teardown(test: Any) -> None:
        for alias in test._databases_names(include_mirrors=False):
            emptier.empty(alias)

    case: Any = TransactionTestCase
    before, case._fixture_teardown = case._fixture_teardown, teardown
    try:
        yield
    finally:
        case._fixture_teardown = before
