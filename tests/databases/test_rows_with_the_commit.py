"""Rows that go to the server with the COMMIT: one message, one statement kept prepared."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import cast

import psycopg
import pytest
from django.db import DatabaseError, OperationalError, connection, connections, transaction

from databases import kept
from databases.backend.base import DatabaseWrapper
from databases.deferred import Target
from databases.transactions import CommitUnknown, insert_at_commit

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = "notes_with_the_commit"
NOTES = Target(TABLE, ("id", "key", "at", "text", "more"))
PLAIN = Target(TABLE, ("id", "text"))
KEY = uuid.UUID("0190b1b5-0000-7000-8000-000000000000")
AT = dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def table():
    """Make a table of the test's own, over a connection that nothing is prepared on yet."""
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
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


def behind_our_back(statement: str) -> None:
    """Run a statement of which the site learns nothing, on the connection in use."""
    connection.ensure_connection()
    psycopg.Cursor(connection.connection).execute(statement)


def end_the_connection() -> None:
    """Have the server end the connection in use, as a failover does, before the COMMIT comes."""
    connection.ensure_connection()
    parameters = connection.get_connection_params()
    kept = {name: parameters[name] for name in ("dbname", "user", "host", "port", "password")
            if parameters.get(name)}  # fmt: skip
    process = connection.connection.info.backend_pid
    with psycopg.connect(**kept, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [process])


def names() -> list[str]:
    """Return the statements that the server keeps for rows of `PLAIN`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_prepared_statements WHERE name LIKE 'kept_%' AND"
            f""" statement LIKE '%{TABLE}" ("id", "text")%'"""
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


@pytest.mark.parametrize("statement", ["DEALLOCATE ALL", "DISCARD ALL"])
def test_what_the_site_has_the_server_forget_is_prepared_anew(statement) -> None:
    for number in (1, 2):
        with transaction.atomic():
            insert(number)
        with connection.cursor() as cursor:
            cursor.execute(statement)
        assert names() == []

    assert rows() == [(1,), (2,)]


@pytest.mark.parametrize("forgotten", [True, False])
def test_a_server_process_that_others_changed_fails_one_commit_and_no_more(forgotten) -> None:
    with transaction.atomic():
        insert(1)
    if forgotten:
        behind_our_back("DEALLOCATE ALL")
    else:
        kept.forget(connection.connection)  # as if another client had prepared it

    with pytest.raises(DatabaseError), transaction.atomic():
        insert(2)
    with transaction.atomic():
        insert(3)

    assert rows() == [(1,), (3,)]
    assert len(names()) == 1


def test_a_changed_table_needs_no_new_statement() -> None:
    with transaction.atomic():
        insert(1)
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} ADD COLUMN late int DEFAULT 7")

    with transaction.atomic():
        insert(2)

    assert rows("id, late") == [(1, 7), (2, 7)]


def test_a_column_that_became_wider_takes_longer_values_after_one_refusal() -> None:
    with transaction.atomic():
        insert(1)
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} ALTER COLUMN id TYPE bigint")

    with pytest.raises(DatabaseError), transaction.atomic():
        insert(2**40)
    for number in (2**40, 2**41):
        with transaction.atomic():
            insert(number)

    assert rows() == [(1,), (2**40,), (2**41,)]
    assert len(names()) == 1


def test_behind_a_pooler_nothing_is_prepared(monkeypatch) -> None:
    ours = cast("DatabaseWrapper", connections["default"])
    monkeypatch.setitem(ours._polystore, "pooler", True)

    with transaction.atomic():
        insert(1)

    assert rows() == [(1,)]
    assert names() == []


def test_what_is_to_be_called_afterwards_is_called_once_and_not_after_a_rollback() -> None:
    called: list[str] = []

    def note() -> None:
        called.append("committed")

    with pytest.raises(RuntimeError), transaction.atomic():
        insert(1, afterwards=note)
        raise RuntimeError
    assert called == []

    with transaction.atomic():
        transaction.on_commit(lambda: called.append("on_commit"))
        insert(1, afterwards=note)
        with pytest.raises(RuntimeError), transaction.atomic():
            insert(2, afterwards=lambda: called.append("rolled back"))
            raise RuntimeError
        insert(3, afterwards=note)
        assert called == []

    assert called == ["committed", "on_commit"]
    assert rows() == [(1,), (3,)]


def test_a_fault_in_what_is_called_afterwards_does_not_make_the_commit_look_failed(caplog) -> None:
    def fail() -> None:
        raise RuntimeError

    with transaction.atomic():
        insert(1, afterwards=fail)

    assert rows() == [(1,)]
    assert "database.after_commit.failed" in caplog.text


def test_a_savepoint_that_is_set_by_hand_takes_its_rows_along() -> None:
    with transaction.atomic():
        insert(1)
        first = transaction.savepoint()
        insert(2)
        second = transaction.savepoint()
        insert(3)
        transaction.savepoint_rollback(second)
        insert(4)
        transaction.savepoint_rollback(first)
        insert(5)

    assert rows() == [(1,), (5,)]


def test_a_durable_block_and_one_that_is_ended_by_hand_insert_as_well() -> None:
    with transaction.atomic(durable=True):
        insert(1)
    transaction.set_autocommit(False)
    try:
        insert(2)
        transaction.commit()
        insert(3)
        transaction.rollback()
        insert(4)
        with pytest.raises(DatabaseError):
            transaction.set_autocommit(True)
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)

    assert rows() == [(1,), (2,)]


def test_a_connection_that_is_lost_in_the_commit_says_that_nobody_knows() -> None:
    with pytest.raises(CommitUnknown) as caught, transaction.atomic():
        insert(1)
        end_the_connection()

    assert caught.value.status == 503
    with transaction.atomic():
        insert(2)
    assert rows() == [(2,)]


def test_a_plain_commit_that_loses_its_connection_says_so_too_unless_it_wrote_nothing() -> None:
    with pytest.raises(CommitUnknown), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {TABLE} (id) VALUES (1)")
        end_the_connection()

    with pytest.raises(OperationalError) as caught, transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        end_the_connection()
    assert not isinstance(caught.value, CommitUnknown)
    assert rows() == []


def test_a_commit_refused_by_a_living_server_is_no_unknown_one() -> None:
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        insert(1, "longer than twenty characters")

    assert not isinstance(caught.value, CommitUnknown)


def test_a_connection_that_is_replaced_prepares_anew() -> None:
    with transaction.atomic():
        insert(1)
    with pytest.raises(OperationalError), transaction.atomic():
        end_the_connection()
        insert(2)

    with transaction.atomic():
        insert(3)

    assert rows() == [(1,), (3,)]
    assert len(names()) == 1
