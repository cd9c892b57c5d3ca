"""Each PostgreSQL role can do what it must, and nothing else; the site runs under its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from io import StringIO
from urllib.parse import urlsplit

import psycopg
import pymongo
import pytest
from django.core.management import CommandError, call_command
from psycopg.errors import InsufficientPrivilege

from databases.grants import declaring
from devservers.sets import ServerSet
from tests.databases.conftest import VARIABLES
from tests.databases.granted import Browser, Granted, granted, make_operator
from tests.running_site import Site
from tests.waiting import eventually

# The first test makes and migrates six databases.
pytestmark = pytest.mark.timeout(900)
A_TABLE = {
    "default": "accounts_user",
    "cache": "caches_zone",
    "analytics": "analytics_activityevent",
    "documents": "documents_document",
    "compliance": "compliance_filing",
    "data": "workspace_workspacerow",
}


@pytest.fixture(scope="module")
def roles(servers_of_the_session: ServerSet) -> Iterator[Granted]:
    with granted(servers_of_the_session) as made:
        yield made


def may(roles: Granted, alias: str, role: str, statement: str) -> bool:
    """Tell whether a role may run a statement; what it did is undone."""
    with roles.connected(alias, role) as connection:
        connection.execute("SET default_transaction_read_only = off")
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(statement.encode())
        except InsufficientPrivilege:
            return False
    return True


class TestTheOwner:
    def test_has_migrated_everything(self, roles: Granted) -> None:
        done = roles.site("owner").manage("migrate_all", "--check")

        assert done.returncode == 0

    @pytest.mark.parametrize("alias", VARIABLES)
    def test_owns_every_table_and_is_no_superuser(self, roles: Granted, alias: str) -> None:
        owners = roles.installation.sql(
            alias,
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'",
        )
        rights = roles.installation.sql(
            alias,
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
            " FROM pg_roles WHERE rolname = %s",
            [roles.name("owner")],
        )

        assert owners == [(roles.name("owner"),)]
        assert rights == [(False,) * 5]


@pytest.mark.parametrize("alias", VARIABLES)
class TestTheSite:
    @pytest.mark.parametrize("statement", [
        "SELECT count(*) FROM {}", "DELETE FROM {}", "SELECT * FROM {} FOR UPDATE",
        "SELECT * FROM django_migrations",
    ])  # fmt: skip
    def test_reads_and_writes_rows(self, roles: Granted, alias: str, statement: str) -> None:
        assert may(roles, alias, "site", statement.format(A_TABLE[alias]))

    @pytest.mark.parametrize("statement", [
        "CREATE TABLE mine (id int)", "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE SCHEMA mine", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP TABLE {}", "ALTER TABLE {} ADD COLUMN mine int", "TRUNCATE {}",
        "CREATE INDEX mine ON {} (id)", "ALTER TABLE {} DISABLE TRIGGER ALL",
        "CREATE TRIGGER mine AFTER INSERT ON {} EXECUTE FUNCTION unique_key_recheck()",
        "DELETE FROM django_migrations", "CREATE ROLE mine", "ALTER ROLE CURRENT_USER SUPERUSER",
        "GRANT SELECT ON {} TO PUBLIC", "SET session_replication_role = replica",
        "COPY {} TO PROGRAM 'true'", "SELECT pg_read_file('postgresql.conf')",
        "SELECT * FROM pg_authid",
    ])  # fmt: skip
    def test_changes_no_table_and_reaches_nothing_else(
        self, roles: Granted, alias: str, statement: str
    ) -> None:
        if "GRANT" in statement:  # PostgreSQL warns, and grants nothing
            with roles.connected(alias, "site") as connection:
                connection.execute(statement.format(A_TABLE[alias]).encode())
            assert not roles.installation.sql(
                alias,
                "SELECT FROM information_schema.role_table_grants"
                " WHERE grantee = 'PUBLIC' AND table_schema = 'public'",
            )
            return
        assert not may(roles, alias, "site", statement.format(A_TABLE[alias]))


class TestWhatTheSiteMayNotChange:
    @pytest.mark.parametrize("statement", [
        "UPDATE compliance_auditrecord SET outcome = 'failed'",
        "DELETE FROM compliance_auditrecord",
        "TRUNCATE compliance_auditrecord",
    ])  # fmt: skip
    def test_is_the_audit_trail(self, roles: Granted, statement: str) -> None:
        assert not may(roles, "compliance", "site", statement)
        assert may(roles, "compliance", "site", "SELECT * FROM compliance_auditrecord")

    @pytest.mark.parametrize(
        "table", ["auth_permission", "django_content_type", "databases_placement"]
    )
    def test_is_what_migrations_write(self, roles: Granted, table: str) -> None:
        assert may(roles, "default", "site", f"SELECT * FROM {table}")
        assert not may(roles, "default", "site", f"DELETE FROM {table}")


class TestReports:
    @pytest.mark.parametrize("alias", VARIABLES)
    @pytest.mark.parametrize("statement", [
        "INSERT INTO {} DEFAULT VALUES", "UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {}",
        "CREATE TABLE mine (id int)", "CREATE TEMPORARY TABLE mine (id int)",
    ])  # fmt: skip
    def test_write_nothing(self, roles: Granted, alias: str, statement: str) -> None:
        assert not may(roles, alias, "reports", statement.format(A_TABLE[alias]))

    @pytest.mark.parametrize(("alias", "statement"), [
        ("default", "SELECT id, email, last_login FROM accounts_user"),
        ("default", "SELECT * FROM customers_businessentity"),
        ("default", "SELECT * FROM tracker_todo"),
        ("analytics", "SELECT * FROM analytics_activityevent"),
        ("data", "SELECT * FROM workspace_workspacerow"),
        ("cache", "SELECT id FROM caches_zone"),
    ])  # fmt: skip
    def test_read_what_is_no_secret(self, roles: Granted, alias: str, statement: str) -> None:
        assert may(roles, alias, "reports", statement)

    @pytest.mark.parametrize(("alias", "statement"), [
        ("default", "SELECT password FROM accounts_user"),
        ("default", "SELECT * FROM accounts_user"),
        ("default", "SELECT u FROM accounts_user u"),
        ("default", "SELECT session_data FROM django_session"),
        ("default", "SELECT payload FROM outbox_outboxevent"),
        ("default", "SELECT object_repr FROM django_admin_log"),
        ("default", "SELECT id FROM accounts_session"),
        ("default", "SELECT id FROM accounts_personaltoken"),
        ("default", "SELECT client_secret FROM accounts_client"),
        ("default", "SELECT content FROM messaging_directmessage"),
        ("documents", "SELECT token_sha256 FROM documents_documentshare"),
        ("compliance", "SELECT id FROM compliance_filing"),
        ("compliance", "SELECT id FROM compliance_auditrecord"),
    ])  # fmt: skip
    def test_read_no_secret_and_nothing_that_is_closed(
        self, roles: Granted, alias: str, statement: str
    ) -> None:
        assert not may(roles, alias, "reports", statement)

    @pytest.mark.parametrize("alias", VARIABLES)
    def test_read_no_column_that_is_called_like_a_secret(self, roles: Granted, alias: str) -> None:
        readable = roles.installation.sql(
            alias,
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0"
            " AND has_column_privilege(%s, c.oid, a.attnum, 'SELECT')",
            [roles.name("reports")],
        )

        assert [each for each in readable if declaring._SECRET_COLUMN.search(each[1])] == []
        assert [each for each in readable if declaring._SECRET_TABLE.search(each[0])] == []
        tables = {table for table, _ in readable}
        assert (tables == {"django_migrations"}) is (alias == "compliance")


def test_what_comes_later_is_the_sites_at_once_and_not_for_reports(roles: Granted) -> None:
    with roles.connected("default", "owner") as connection:
        connection.execute("CREATE TABLE later (id bigserial, secret text)")
    try:
        assert may(roles, "default", "site", "INSERT INTO later (secret) VALUES ('x')")
        assert not may(roles, "default", "reports", "SELECT id FROM later")
    finally:
        roles.installation.sql("default", "DROP TABLE later")


def test_it_can_be_granted_again(roles: Granted) -> None:
    before = privileges(roles)
    for role in ("owner", "site", "reports"):
        for each in roles.sql_of(role):
            for statement in each["statements"]:
                roles.installation.sql(each["alias"], statement)

    assert privileges(roles) == before


def privileges(roles: Granted) -> list[tuple[object, ...]]:
    return roles.installation.sql(
        "default", "SELECT oid::regclass::text, relacl::text FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
    )  # fmt: skip


def down(site: Site) -> set[str]:
    """Return the stores that do not answer."""
    found = site.get("/api/health/databases").json()
    return {name for name in found if found[name] is False}


class TestTheRunningSite:
    """Web processes and delivery as the role `site`: everything that people do first."""

    def test_serves_signs_in_writes_and_delivers(self, roles: Granted) -> None:
        more = {}
        if "replica" in roles.installation.servers.servers:
            roles.installation.servers.wait_for_replica()
            more["READ_REPLICA_DATABASE_URL"] = roles.replica_url("site")
        site = roles.site("site", **more)
        password = make_operator(site)
        site.manage("role", "give", "root@example.com", "compliance officer")
        stack = ExitStack()
        try:
            site.start()
            assert site.get("/api/health").json()["databases"]["postgresql"] is True
            eventually(lambda: not down(site))

            browser = stack.enter_context(closing(Browser(site)))
            assert browser.sign_in("a wrong one").status_code == 200
            assert browser.sign_in(password).status_code == 302
            made = browser.post("/api/todos", {"title": "Under the right role"})
            assert made.status_code == 201, made.text
            assert browser.client.get("/api/todos").json()["items"][0]["id"] == made.json()["id"]
            for page in (
                *("accounts/user", "documents/document", "analytics/businessmetric"),
                *(
                    "compliance/auditrecord",
                    "workspace/importbatch",
                    "caches/zone",
                    "admin/logentry",
                ),
                *("outbox/overview", "databases/overview"),
            ):
                assert browser.client.get(f"/admin/{page}/").status_code == 200, page

            # Delivery as the same role, without Celery: MongoDB and the audit trail.
            worker = site.spawn("manage", "outbox", "drain", "--follow")
            with pymongo.MongoClient(site.environment["MONGO_URL"]) as client:
                todos = client.get_default_database()["todos"]
                eventually(lambda: todos.find_one({"_id": made.json()["id"]}))
            seen = "SELECT event_type FROM compliance_auditrecord"
            eventually(
                lambda: ("user.role_given",) in roles.installation.sql("compliance", seen),
                seconds=60,
            )
            assert ("audit_record.listed",) in roles.installation.sql("compliance", seen)
            assert worker.poll() is None
        finally:
            stack.close()
            site.stop()
            with pymongo.MongoClient(site.environment["MONGO_URL"]) as client:
                client.drop_database(client.get_default_database())

    def test_seeds_and_checks(self, roles: Granted) -> None:
        site = roles.site("site")

        assert site.manage("seed_opportunity_zones").returncode == 0
        assert site.manage("describe_databases").returncode == 0
        assert site.manage("outbox", "prune").returncode == 0

    def test_refuses_to_migrate_under_it(self, roles: Granted) -> None:
        done = roles.site("site").manage("migrate_all", check=False)

        assert done.returncode == 1
        assert "may not create tables" in done.stderr


class TestTheCommand:
    def test_prints_sql_for_psql_without_a_password(self, roles: Granted) -> None:
        site = roles.site("owner")
        printed = site.manage("grant_sql", "site", "--owner", roles.name("owner")).stdout

        assert printed.count("BEGIN;") == printed.count("COMMIT;") == len(VARIABLES)
        assert printed.startswith("-- polystore_site: reads and writes rows")
        assert "PASSWORD" not in printed.upper().replace("PASSWORD_", "")
        for password in roles.passwords.values():
            assert password not in printed

    @pytest.mark.parametrize("arguments", [
        ("king",), ("site", "--alias", "nowhere"), ("site", "--name", "x" * 64),
        ("owner", "--login", "a"),
    ])  # fmt: skip
    def test_refuses_what_makes_no_sense(self, arguments: tuple[str, ...]) -> None:
        with pytest.raises(CommandError) as refused:
            call_command("grant_sql", *arguments)

        assert refused.value.returncode in {1, 2}

    @pytest.mark.django_db(databases=["default"])
    def test_says_that_a_replica_follows(self) -> None:
        from django.conf import settings

        if "replica" not in settings.DATABASES:
            pytest.skip("There is no replica here.")
        out = StringIO()
        call_command("grant_sql", "site", "--alias", "replica", "--json", stdout=out)

        found = json.loads(out.getvalue())["databases"]
        assert found == [{"alias": "replica", "follows": "default", "statements": []}]


def test_passwords_count(roles: Granted) -> None:
    """Over TCP; otherwise none of the tests above would prove who asked."""
    wrong = urlsplit(roles.url("default", "site"))
    wrong = wrong._replace(netloc=wrong.netloc.replace("p%40ss", "wrong"))

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong.geturl())
