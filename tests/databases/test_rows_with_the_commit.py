"""Rows that go to the server with the COMMIT: one message, one statement kept prepared."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import cast

import pytest
from django.db import DatabaseError, connection, connections, transaction

from databases import deferred
from databases.backend.base import DatabaseWrapper
from databases.deferred import Target
from databases.transactions import insert_at_commit

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = "notes_with_the_commit"
NOTES = Target(TABLE, ("id", "key", "at", "text", "more"))
PLAIN = Target(TABLE, ("id", "text"))
KEY = uuid.UUID("0190b1b5-0000-7000-8000-000000000000")
AT = dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def table():
    """Make a table of the test's own."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {TABLE} (id int PRIMARY KEY, key uuid, at timestamptz,"
            " text varchar(20), more jsonb)"
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {TABLE}")


def insert(number: int, text: str = "", **options) -> None:
    """Have a row inserted with the open transaction's COMMIT."""
    insert_at_commit("outbox", PLAIN, (number, text), **options)


def rows(columns: str = "id") -> list[tuple[object, ...]]:
    """Return the rows that are there, by id."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {TABLE} ORDER BY id")
        return cursor.fetchall()


def forget_everything() -> None:
    """Have the server forget what it keeps for this connection, behind our back."""
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")


def names() -> list[str]:
    """Return the statements that the server keeps for rows like these."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_prepared_statements"
            f" WHERE name LIKE 'deferred_%' AND statement LIKE '%{TABLE}%'"
        )
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize("text", ["it's", "a\\b", "100 %s; --", "$1", "Grüße"])
def test_every_kind_of_value_arrives_as_it_is(text) -> None:
    for number, more in ((1, None), (2, '{"a": [1]}'), (-3, "null")):
        with transaction.atomic():
            insert_at_commit("outbox", NOTES, (number, KEY, AT, text, more))

    assert rows("id, key, at, text, more::text") == [
        (-3, KEY, AT, text, "null"),
        (1, KEY, AT, text, None),
        (2, KEY, AT, text, '{"a": [1]}'),
    ]


def test_the_server_keeps_one_statement_for_rows_of_a_kind() -> None:
    for number in range(5):
        with transaction.atomic():
            insert(number)

    assert len(names()) == 1


def test_several_rows_and_kinds_go_with_one_commit_and_keep_their_order() -> None:
    with transaction.atomic():
        insert(2)
        insert_at_commit("outbox", NOTES, (1, KEY, AT, "beside", None))
        insert(3)

    assert rows("id, text") == [(1, "beside"), (2, ""), (3, "")]


def test_a_refused_row_commits_nothing_and_the_next_transaction_works() -> None:
    for attempt in range(3):
        with pytest.raises(DatabaseError), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"INSERT INTO {TABLE} (id) VALUES ({attempt + 10})")
            insert(attempt, "longer than twenty characters")
        assert rows() == []

    with transaction.atomic():
        insert(1)
    assert rows() == [(1,)]
    assert len(names()) <= 2


def test_a_commit_that_a_constraint_refuses_inserts_nothing() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} ADD UNIQUE (key) DEFERRABLE INITIALLY DEFERRED")

    with pytest.raises(DatabaseError), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {TABLE} (id, key) VALUES (1, '{KEY}')")
        insert_at_commit("outbox", NOTES, (2, KEY, AT, "", None))

    assert rows() == []


def test_a_server_that_forgot_the_statement_fails_one_commit_and_no_more() -> None:
    with transaction.atomic():
        insert(1)
    forget_everything()

    with pytest.raises(DatabaseError), transaction.atomic():
        insert(2)
    with transaction.atomic():
        insert(3)

    assert rows() == [(1,), (3,)]


def test_a_changed_table_needs_no_new_statement() -> None:
    with transaction.atomic():
        insert(1)
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} ADD COLUMN late int DEFAULT 7")

    with transaction.atomic():
        insert(2)

    assert rows("id, late") == [(1, 7), (2, 7)]


def test_behind_a_pooler_nothing_is_prepared(monkeypatch) -> None:
    ours = cast("DatabaseWrapper", connections["default"])
    monkeypatch.setitem(ours._polystore, "pooler", True)

    with transaction.atomic():
        insert(1)

    assert rows() == [(1,)]
    assert names() == []


def test_what_is_to_be_called_afterwards_is_called_once_and_not_after_a_rollback() -> None:
    called: list[int] = []

    def note() -> None:
        called.append(len(rows()))

    with pytest.raises(RuntimeError), transaction.atomic():
        insert(1, afterwards=note)
        raise RuntimeError
    assert called == []

    with transaction.atomic():
        insert(1, afterwards=note)
        with pytest.raises(RuntimeError), transaction.atomic():
            insert(2, afterwards=lambda: called.append(-1))
            raise RuntimeError
        insert(3, afterwards=note)
        assert called == []

    assert called == [2]


def test_an_end_of_the_connection_leaves_nothing_behind() -> None:
    with transaction.atomic():
        insert(1)
    known = len(deferred._prepared)
    connection.close()

    with transaction.atomic():
        insert(2)

    assert rows() == [(1,), (2,)]
    assert len(deferred._prepared) <= known + 1
