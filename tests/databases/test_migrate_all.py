"""`migrate_all`: looks before it migrates, and gives each database the apps that live there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import CommandError, call_command

from databases.migration import drift
from tests.databases.conftest import VARIABLES, Installation

HOMES = {
    "caches": "cache",
    "analytics": "analytics",
    "documents": "documents",
    "compliance": "compliance",
    "workspace": "data",
}
NOBODY_LISTENS = "postgresql://polystore@/nothing?host=/nonexistent"


def add(installation: Installation, *aliases: str) -> None:
    for alias in aliases:
        installation.add(alias)


def problems(report, alias: str) -> list[str]:
    (found,) = [each for each in report["databases"] if each["alias"] == alias]
    return [finding["problem"] for finding in found["findings"]]


class TestFreshDatabases:
    def test_each_gets_the_tables_of_the_apps_that_live_there_and_no_others(self, installation):
        for app_label, alias in HOMES.items():
            prefixes = {table.partition("_")[0] for table in installation.tables(alias)}

            assert prefixes == {app_label, "django"}
            assert not any(
                table.startswith(f"{app_label}_") for table in installation.tables("default")
            )

    def test_what_was_done_is_written_down(self, installation):
        placement = installation.placement()

        assert {app: placement[app] for app in HOMES} == HOMES
        assert set(placement.values()) - set(HOMES.values()) == {"default"}

    def test_content_types_and_permissions_of_every_home_are_in_the_primary(self, installation):
        found = installation.sql(
            "default",
            "SELECT DISTINCT app_label FROM auth_permission p"
            " JOIN django_content_type c ON c.id = p.content_type_id",
        )

        assert {label for (label,) in found} >= {*HOMES, "accounts", "customers"}

    def test_one_database_gets_all(self, one_database):
        prefixes = {table.partition("_")[0] for table in one_database.tables("default")}

        assert prefixes >= {*HOMES, "accounts", "customers"}
        assert set(one_database.placement().values()) == {"default"}

    def test_a_second_time_changes_nothing_and_says_so(self, installation):
        done = installation.manage("migrate_all")

        assert done.returncode == 0
        assert done.stdout.count("up to date") == len(VARIABLES)

    def test_each_step_is_told(self, empty):
        empty.add("default")
        done = empty.manage("migrate_all")

        assert "default: accounts.0001_initial" in done.stdout
        assert "default: documents.0001_initial" in done.stdout


class TestLooking:
    def test_status_shows_what_is_pending_and_changes_nothing(self, empty):
        add(empty, "default", "documents")
        done = empty.manage("migrate_all", "--status")

        assert done.returncode == 0
        assert "pending" in done.stdout
        assert empty.tables("default") == set()

    def test_check_exits_with_1_while_something_is_pending(self, empty):
        empty.add("default")

        assert empty.manage("migrate_all", "--check").returncode == 1
        assert empty.tables("default") == set()

    def test_check_exits_with_0_when_nothing_is(self, installation):
        assert installation.manage("migrate_all", "--check").returncode == 0

    def test_plan_lists_the_migrations_in_order(self, empty):
        add(empty, "default", "documents")
        done = empty.manage("migrate_all", "--plan")
        lines = done.stdout.splitlines()

        assert done.returncode == 0
        assert "documents: documents.0001_initial" in lines
        assert "default: documents.0001_initial" not in lines
        assert lines.index("default: contenttypes.0001_initial") < lines.index(
            "default: auth.0001_initial"
        )

    def test_json_is_one_document(self, installation):
        report = installation.report("migrate_all", "--status")

        assert [each["alias"] for each in report["databases"]] == list(VARIABLES)
        assert all(each["pending"] == [] for each in report["databases"])

    def test_migrating_prints_json_only_when_asked_to(self, empty):
        empty.add("default")
        (found,) = empty.report("migrate_all")["databases"]

        assert found["applied"] == found["pending"]
        assert "accounts.0001_initial" in found["applied"]

    def test_one_alias_may_be_named(self, empty):
        add(empty, "default", "documents")
        done = empty.manage("migrate_all", "documents")

        assert done.returncode == 0
        assert "documents_document" in empty.tables("documents")
        assert empty.tables("default") == set()

    @pytest.mark.parametrize("name", ["nowhere", "replica", "cache_replica_2"])
    def test_a_name_that_is_no_database_to_migrate_is_refused_with_2(self, name):
        with pytest.raises(CommandError, match="Databases in use: default") as caught:
            call_command("migrate_all", name)

        assert caught.value.returncode == 2

    def test_options_that_exclude_each_other_are_refused_with_2(self, empty):
        done = empty.manage("migrate_all", "--status", "--plan")

        assert done.returncode == 2
        assert "Traceback" not in done.stderr

    def test_without_a_database_it_says_which_variable_to_set(self, empty):
        done = empty.manage("migrate_all")

        assert done.returncode == 1
        assert "DATABASE_URL is not set" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.fixture
def found(clone, connect):
    """Return a function that changes a migrated database by hand and says what drift is found."""

    def found_after(alias: str, *statements: str, labels: tuple[str, ...] = ()) -> list[str]:
        installation = clone(alias)
        for statement in statements:
            installation.sql(alias, statement)
        wrapper = connect({VARIABLES[alias]: installation.url(alias)}, alias)
        return drift.of(wrapper, list(labels or (alias,)))

    return found_after


class TestDrift:
    def test_none(self, found):
        assert found("documents") == []

    def test_recorded_and_without_tables(self, found):
        # So it is where an app moves to a database that Django's own `migrate` knew before.
        said = found(
            "documents",
            "INSERT INTO django_migrations (app, name, applied)"
            " VALUES ('analytics', '0001_initial', now())",
            labels=("documents", "analytics"),
        )

        assert said == [
            "analytics: 1 migrations are recorded as applied, but it has no tables here"
        ]

    def test_tables_and_nothing_recorded(self, found):
        (said,) = found("documents", "DELETE FROM django_migrations")

        assert said.startswith(
            "documents: no migration that makes them is recorded, but these tables exist: "
        )
        assert "documents_document," in said

    def test_a_table_that_is_missing(self, found):
        assert found("documents", "DROP TABLE documents_documentshare CASCADE") == [
            (
                "documents: its migrations are recorded, but these tables are missing: "
                "documents_documentshare"
            )
        ]

    def test_a_column_that_is_missing(self, found):
        said = found(
            "default",
            "ALTER TABLE accounts_user DROP COLUMN first_name CASCADE",
            labels=("accounts", "customers"),
        )

        assert said == ["accounts: the table accounts_user lacks these columns: first_name"]

    def test_a_column_that_a_pending_migration_would_add(self, found):
        # The state of auth before its last migrations, in the tables of the present.
        said = found(
            "default",
            "DELETE FROM django_migrations WHERE app = 'auth' AND name > '0001_initial'",
            "DELETE FROM django_migrations WHERE app NOT IN ('auth', 'contenttypes', 'databases')",
            "DELETE FROM django_migrations WHERE app = 'contenttypes' AND name > '0001_initial'",
            "ALTER TABLE django_content_type ADD COLUMN name varchar(100)",
            labels=("contenttypes", "databases"),
        )

        assert said == []

    def test_a_migration_that_lacks_the_one_it_needs(self, found):
        (said,) = found(
            "default",
            "DELETE FROM django_migrations WHERE app = 'contenttypes'",
            labels=("contenttypes",),
        )

        assert "is applied before its dependency contenttypes" in said

    def test_a_column_of_the_operators_own_is_none(self, found):
        assert found("documents", "ALTER TABLE documents_document ADD COLUMN note text") == []

    def test_a_table_of_another_schema_does_not_count(self, found):
        (said,) = found(
            "documents",
            "CREATE SCHEMA moved",
            "ALTER TABLE documents_documentshare SET SCHEMA moved",
        )

        assert "these tables are missing: documents_documentshare" in said

    def test_what_django_records_of_apps_that_live_elsewhere_is_none(self, installation):
        installation.manage("migrate", "--database", "documents")

        assert "accounts" in installation.recorded("documents")
        assert installation.manage("migrate_all", "--check").returncode == 0

    def test_other_databases_are_migrated_all_the_same(self, empty):
        add(empty, "default", "analytics", "documents")
        empty.sql("documents", "CREATE TABLE documents_document (id int)")
        report = empty.report("migrate_all")

        assert problems(report, "documents") != []
        assert "analytics_activityevent" in empty.tables("analytics")
        assert empty.tables("documents") == {"documents_document"}
        assert "documents" not in empty.placement()


class TestPreflight:
    def test_a_database_that_does_not_answer_is_reported_while_others_are_migrated(self, empty):
        add(empty, "default", "documents")
        empty.environment["ANALYTICS_DATABASE_URL"] = NOBODY_LISTENS
        done = empty.manage("migrate_all")

        assert done.returncode == 1
        assert "analytics: " in done.stderr
        assert "Traceback" not in done.stderr
        assert "documents_document" in empty.tables("documents")
        assert "analytics" not in empty.placement()

    def test_when_the_primary_does_not_answer_the_others_are_migrated(self, empty):
        add(empty, "default", "documents")
        empty.environment["DATABASE_URL"] = NOBODY_LISTENS
        done = empty.manage("migrate_all")

        assert done.returncode == 1
        assert "default: " in done.stderr
        assert "Traceback" not in done.stderr
        assert "documents_document" in empty.tables("documents")

    def test_a_password_that_is_wrong_is_not_repeated(self, empty):
        add(empty, "default")
        user = "polystore:T0p-secret@127.0.0.1"
        port = empty.servers.url_of("default", tcp=True).rpartition(":")[2].partition("/")[0]
        empty.environment["DATA_DATABASE_URL"] = f"postgresql://{user}:{port}/x"
        done = empty.manage("migrate_all", "--status")

        assert done.returncode == 1
        assert "password authentication failed" in done.stderr
        assert "T0p-secret" not in done.stdout + done.stderr

    def test_a_role_without_the_privilege_is_refused_with_the_remedy(self, empty):
        add(empty, "default", "cache")
        role = f"reader_{empty.names['cache']}"
        empty.sql("cache", f'CREATE ROLE "{role}" LOGIN')
        try:
            url = empty.url("cache").replace("polystore@", f"{role}@")
            report = empty.report("migrate_all", CACHE_DATABASE_URL=url)
        finally:
            empty.sql("cache", f'DROP ROLE "{role}"')

        assert problems(report, "cache") == [f"the role {role} may not create tables"]
        assert empty.tables("cache") == set()

    def test_a_replica_in_the_place_of_a_primary_is_refused(self, empty):
        if "replica" not in empty.servers.servers:
            pytest.skip("this shape has no replica")
        empty.add("default")
        empty.servers.wait_for_replica()
        report = empty.report("migrate_all", DATABASE_URL=empty.replica_url())

        assert problems(report, "default") == ["the server is a replica"]

    def test_a_replica_is_left_alone(self, clone):
        report = clone("default").report(
            "migrate_all", "--status", READ_REPLICA_DATABASE_URL=NOBODY_LISTENS
        )

        assert [each["alias"] for each in report["databases"]] == ["default"]


class TestConfiguredIsNotMoved:
    def test_an_empty_app_moves_to_the_database_that_appears(self, one_database):
        one_database.add("documents")
        done = one_database.manage("migrate_all")

        assert done.returncode == 0, done.stderr
        assert one_database.placement()["documents"] == "documents"
        assert "documents_document" in one_database.tables("documents")

    def test_an_app_with_rows_stays_where_they_are(self, one_database):
        one_database.sql(
            "default",
            "INSERT INTO analytics_activityevent (id, name, source, subject_type, subject_id,"
            " request_id, properties, occurred_at)"
            " VALUES (gen_random_uuid(), 'page.viewed', 'web', '', '', '', '{}', now())",
        )
        one_database.add("analytics")
        done = one_database.manage("migrate_all")

        assert done.returncode == 0, done.stderr
        assert one_database.placement()["analytics"] == "default"
        assert one_database.tables("analytics") <= {"django_migrations"}

    @pytest.mark.parametrize("taken", ["its URL", "the split"])
    def test_a_database_that_holds_an_app_cannot_be_taken_away(self, clone, taken):
        installation = clone("default", "documents")
        if taken == "its URL":
            del installation.environment["DOCUMENTS_DATABASE_URL"]
            done = installation.manage("migrate_all")
        else:
            done = installation.manage("migrate_all", SPLIT_DB_MODE="false")

        assert done.returncode == 1
        assert "is not configured" in done.stderr
        assert "_DATABASE_URL again" in done.stderr
        assert "Traceback" not in done.stderr


class TestTogether:
    def test_two_at_once_take_turns(self, empty):
        add(empty, "default", "documents")
        with ThreadPoolExecutor() as pool:
            first, second = pool.map(lambda _: empty.manage("migrate_all"), range(2))

        assert first.returncode == second.returncode == 0, first.stderr + second.stderr
        assert empty.manage("migrate_all", "--check").returncode == 0

    def test_the_direct_url_is_used_and_its_statements_may_take_long(self, empty):
        url = empty.add("default")
        role = f"owner_{empty.names['default']}"
        empty.sql("default", f'CREATE ROLE "{role}" LOGIN SUPERUSER')
        # Nobody listens at the ordinary URL, so whatever works went around it.
        direct = url.replace("polystore@", f"{role}@")
        done = empty.manage(
            "migrate_all",
            DATABASE_URL=f"{NOBODY_LISTENS}&pgbouncer=true",
            DIRECT_DATABASE_URL=direct,
        )
        owners = empty.sql(
            "default", "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        )

        assert "accounts_user" in empty.tables("default"), done.stderr
        assert owners == [(role,)]
        empty.sql("default", f'REASSIGN OWNED BY "{role}" TO polystore; DROP ROLE "{role}"')
