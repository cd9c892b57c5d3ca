"""Statements that the server keeps: the same rows, also when their table is another by now."""

from __future__ import annotations

import datetime as dt
import uuid

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from databases.prepared import fetch_all

pytestmark = pytest.mark.django_db(transaction=True)

APP = "accounts"
SQL = "SELECT id, at, number FROM tests_kept WHERE id = %s LIMIT %s"
KEY = uuid.UUID(int=7)
AT = dt.datetime(2026, 3, 8, 7, 30, 0, 123_456, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def table():
    """Make a table with one row, over a connection that nothing is prepared on yet."""
    connection.ensure_connection()
    connection.connection.close()
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE tests_kept (id uuid, at timestamptz, number int)")
        cursor.execute("INSERT INTO tests_kept VALUES (%s, %s, 1)", [KEY, AT])
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE tests_kept")
    connection.close()


def kept() -> int:
    """Return how many statements of this table the server keeps for this connection."""
    with connection.cursor() as cursor:
        cursor.execute(
            # By name, too: the driver may keep this very statement.
            "SELECT count(*) FROM pg_prepared_statements"
            " WHERE name LIKE 'kept_%' AND statement LIKE '%FROM tests_kept%'"
        )
        return int(cursor.fetchone()[0])


def rows() -> list[tuple[object, ...]]:
    return fetch_all(APP, SQL, (KEY, 10))


def test_rows_are_those_of_a_cursor_and_one_statement_is_kept() -> None:
    for _ in range(10):
        assert rows() == [(KEY, AT, 1)]
    assert kept() == 1


def test_parameters_may_have_names_and_stand_in_several_places() -> None:
    sql = "SELECT number FROM tests_kept WHERE id = %(key)s AND number < %(top)s AND id = %(key)s"
    for top, found in ((5, [(1,)]), (1, [])) * 2:
        assert fetch_all(APP, sql, {"top": top, "key": KEY}) == found
    assert kept() == 1


def test_a_rollback_leaves_what_is_kept() -> None:
    rows()
    with pytest.raises(ValueError, match="no"), transaction.atomic():
        rows()
        raise ValueError("no")
    assert kept() == 1
    assert rows() == [(KEY, AT, 1)]


def test_nothing_else_of_the_connection_is_kept() -> None:
    rows()
    with connection.cursor() as cursor:
        for _ in range(10):
            cursor.execute("SELECT number FROM tests_kept WHERE number > %s", [0])
    assert kept() == 1


def test_behind_a_pooler_nothing_is_kept(monkeypatch) -> None:
    before = kept()
    monkeypatch.setitem(connection.settings_dict["POLYSTORE"], "pooler", True)
    assert rows() == [(KEY, AT, 1)]
    assert kept() == before


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE tests_kept ALTER COLUMN number TYPE bigint",
        "DEALLOCATE ALL",
        f"""DROP TABLE tests_kept; CREATE TABLE tests_kept AS
        SELECT '{KEY}'::uuid AS id, '{AT.isoformat()}'::timestamptz AS at, 1::bigint AS number""",
    ],
)
class TestWhatIsKeptNoLongerFits:
    """By a migration beside the running site, or by somebody who told the server to forget."""

    def test_outside_a_transaction_nobody_notices(self, change) -> None:
        rows()
        with connection.cursor() as cursor:
            cursor.execute(change)
        assert rows() == rows() == [(KEY, AT, 1)]

    def test_in_a_transaction_one_may_fail_and_the_next_does_not(self, change) -> None:
        rows()
        with connection.cursor() as cursor:
            cursor.execute(change)
        try:
            with transaction.atomic():
                rows()
        except DatabaseError:
            pass
        with transaction.atomic():
            assert rows() == [(KEY, AT, 1)]


def test_statements_are_seen_by_whoever_counts_queries() -> None:
    with CaptureQueriesContext(connection) as seen:
        rows()
    assert len(seen) == 1


def test_errors_are_django_s() -> None:
    with pytest.raises(DatabaseError):
        fetch_all(APP, "SELECT 1 FROM tests_no_such_table WHERE 1 = %s", (1,))


@pytest.fixture
def serializable():
    """Have the connection in hand begin its transactions so."""
    asked = connection.connection
    before, asked.isolation_level = asked.isolation_level, psycopg.IsolationLevel.SERIALIZABLE
    yield
    asked.isolation_level = before


@pytest.mark.usefixtures("serializable")
def test_a_transaction_that_begins_with_it_is_as_strict_as_the_connection_says() -> None:
    with transaction.atomic():
        rows()
        with connection.cursor() as cursor:
            cursor.execute("SHOW transaction_isolation")
            assert cursor.fetchone() == ("serializable",)
