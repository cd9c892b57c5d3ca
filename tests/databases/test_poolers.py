"""Behind a transaction pooler: no start-up options, the same bounds, nothing left to others."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import DatabaseError, OperationalError, transaction
from django.db.transaction import Atomic

from tests.databases import pgbouncer

pytestmark = pytest.mark.skipif(
    pgbouncer.PROGRAM is None, reason="There is no pgbouncer on PATH to run these against."
)


@pytest.fixture
def pooler(empty) -> Iterator[str]:
    """Yield the URL of an empty database behind a PgBouncer with one connection to the server."""
    direct = empty.add("default")
    name = urlsplit(direct).path
    with pgbouncer.running(empty.servers, direct, pool_size=1) as port:
        yield f"postgresql://polystore@127.0.0.1:{port}{name}?pgbouncer=true"


@pytest.fixture
def through(connect, pooler):
    """Return a function that connects through the pooler, with more variables."""
    return lambda **environ: connect({"DATABASE_URL": pooler, **environ})


def value(wrapper, statement: str) -> object:
    with wrapper.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


def test_a_pooler_refuses_start_up_options(pooler):
    plain = pooler.partition("?")[0]

    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter"):
        psycopg.connect(plain, options="-c statement_timeout=1000")


def test_so_none_are_sent(through):
    wrapper = through()

    assert value(wrapper, "SELECT 1") == 1
    assert value(wrapper, "SHOW application_name") == "polystore:default:primary"
    assert wrapper.pool is None


def inside(wrapper) -> Atomic:
    return transaction.atomic(using=wrapper.alias)


def test_each_transaction_has_the_bounds(through):
    wrapper = through(DEFAULT_STATEMENT_TIMEOUT="7")
    with inside(wrapper):
        found = [
            value(wrapper, f"SHOW {name}")
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        ]

    assert found == ["7s", "5s", "1min"]


def test_the_bounds_are_not_left_to_the_next_client(through, pooler):
    wrapper = through(DEFAULT_STATEMENT_TIMEOUT="7")
    with inside(wrapper):
        value(wrapper, "SELECT 1")
    with psycopg.connect(pooler.partition("?")[0], autocommit=True) as other:
        assert other.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_a_statement_in_a_transaction_is_ended_in_time(through):
    wrapper = through(DEFAULT_STATEMENT_TIMEOUT="0.2")

    with pytest.raises(OperationalError, match="statement timeout"), inside(wrapper):
        value(wrapper, "SELECT pg_sleep(20)")


def test_a_statement_outside_of_one_is_ended_in_time(through):
    wrapper = through(DEFAULT_STATEMENT_TIMEOUT="0.2")

    with pytest.raises(OperationalError, match="cancel"):
        value(wrapper, "SELECT pg_sleep(20)")
    assert value(wrapper, "SELECT 1") == 1


def test_waiting_for_a_lock_is_ended_in_time(through, empty):
    wrapper = through()
    wrapper.settings_dict["POLYSTORE"]["session"]["lock_timeout"] = "200"
    with psycopg.connect(empty.url("default")) as other:
        other.execute("CREATE TABLE locked (id int)")
        other.commit()
        other.execute("LOCK TABLE locked")
        with pytest.raises(OperationalError, match="lock timeout"), inside(wrapper):
            value(wrapper, "SELECT count(*) FROM locked")


def test_a_transaction_that_is_left_open_is_ended_in_time(through, empty):
    wrapper = through()
    wrapper.settings_dict["POLYSTORE"]["session"]["idle_in_transaction_session_timeout"] = "200"

    with pytest.raises(DatabaseError, match=r"idle-in-transaction|closed"), inside(wrapper):
        value(wrapper, "SELECT 1")
        with psycopg.connect(empty.url("default"), autocommit=True) as other:
            other.execute("SELECT pg_sleep(1)")
        value(wrapper, "SELECT 1")


def test_no_prepared_statement_outlives_its_transaction(through):
    wrapper = through()
    for _ in range(12):
        value(wrapper, "SELECT 40 + 2")

    assert value(wrapper, "SELECT count(*) FROM pg_prepared_statements") == 0


def test_rows_are_streamed_without_a_cursor_of_the_server(through):
    wrapper = through()

    assert wrapper.settings_dict["DISABLE_SERVER_SIDE_CURSORS"] is True


class TestMigrating:
    def test_without_a_way_around_the_pooler_it_works_all_the_same(self, empty):
        direct = empty.add("default")
        with pgbouncer.running(empty.servers, direct) as port:
            name = urlsplit(direct).path
            url = f"postgresql://polystore@127.0.0.1:{port}{name}?pgbouncer=true"
            done = empty.manage("migrate_all", DATABASE_URL=url)
            again = empty.manage("migrate_all", "--check", DATABASE_URL=url)
            left = psycopg.connect(url.partition("?")[0], autocommit=True)
            with left:
                bound = left.execute("SHOW statement_timeout").fetchone()
                locks = left.execute(
                    "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
                    " WHERE l.locktype = 'advisory' AND d.datname = current_database()"
                ).fetchone()

        assert done.returncode == 0, done.stderr
        assert again.returncode == 0, again.stderr
        assert bound == ("0",)
        assert locks == (0,)

    def test_with_one_it_is_used(self, empty):
        direct = empty.add("default")
        with pgbouncer.running(empty.servers, direct) as port:
            name = urlsplit(direct).path
            done = empty.manage(
                "migrate_all",
                DATABASE_URL=f"postgresql://polystore@127.0.0.1:{port}{name}?pgbouncer=true",
                DIRECT_DATABASE_URL=direct,
            )

        assert done.returncode == 0, done.stderr
        assert "accounts_user" in empty.tables("default")
