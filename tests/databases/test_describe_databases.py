"""`describe_databases`: what every store is and does, in one table, without a secret."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command

from databases.describe import _host_of_url
from tests.databases.conftest import VARIABLES
from tests.waiting import eventually

NOBODY_LISTENS = "postgresql://polystore:S3cr3t@127.0.0.1:1/nothing"
STORES = [*VARIABLES, "replica", "mongodb", "redis"]


def rows(report) -> dict[str, dict[str, Any]]:
    return {row["store"]: row for row in report["stores"]}


def with_the_other_stores(installation):
    """Add the variables of MongoDB and Redis."""
    environment = installation.servers.environment()
    installation.environment |= {
        name: environment[name] for name in ("MONGO_URL", "REDIS_URL") if name in environment
    }
    return installation


class TestAllAliases:
    def test_seven_are_up_and_the_replica_streams(self, installation):
        if "replica" not in installation.servers.servers:
            pytest.skip("this shape has no replica")
        with_the_other_stores(installation)
        installation.environment["READ_REPLICA_DATABASE_URL"] = installation.replica_url()
        installation.servers.wait_for_replica()
        found = rows(installation.report("describe_databases"))

        assert list(found) == STORES
        assert {name: row["state"] for name, row in found.items()} == {
            **dict.fromkeys(STORES, "up"),
            "replica": "streaming",
        }
        assert all(row["configured"] for row in found.values())
        assert all(row["served_by"] == name for name, row in found.items())
        assert found["documents"]["apps"] == ["documents"]
        assert found["data"]["apps"] == ["workspace"]
        assert {"accounts", "customers"} <= set(found["default"]["apps"])
        assert all(found[alias]["pending"] == 0 for alias in VARIABLES)
        assert all(found[alias]["size_bytes"] > 1_000_000 for alias in VARIABLES)
        assert re.fullmatch(r"\d+ bytes, \d+\.\d s", str(found["replica"]["lag"]))
        assert found["replica"]["pending"] is None
        # Summed over all processes: sites of other tests may publish theirs to the same Redis.
        assert int(found["documents"]["pool"].partition("/")[2]) % 25 == 0
        assert int(found["replica"]["pool"].partition("/")[2]) % 30 == 0

    def test_the_table_is_for_people(self, installation):
        done = installation.manage("describe_databases")
        header, line, *body = done.stdout.splitlines()

        assert done.returncode == 0, done.stderr
        assert header.split()[:2] == ["store", "configured"]
        assert set(line) == {"-", " "}
        assert [row.split()[0] for row in body[: len(STORES)]] == STORES

    def test_only_those_that_are_named(self, installation):
        found = rows(installation.report("describe_databases", "cache", "redis"))

        assert list(found) == ["cache", "redis"]

    def test_pending_migrations_are_counted(self, clone):
        installation = clone("default", "documents")
        installation.sql("documents", "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        found = rows(installation.report("describe_databases", "documents", "default"))

        assert found["documents"]["pending"] > 0
        assert found["default"]["pending"] == 0 or "caches" in found["default"]["apps"]

    def test_a_pooler_is_named_as_one(self, clone):
        installation = clone("default")
        url = f"{installation.url('default')}&pgbouncer=true"
        found = rows(installation.report("describe_databases", "default", DATABASE_URL=url))

        assert found["default"]["pool"] == "none (pooler)"


class TestOneDatabase:
    def test_the_primary_serves_all_but_the_replica(self, one_database):
        found = rows(one_database.report("describe_databases"))

        assert {row["served_by"] for name, row in found.items() if name in VARIABLES} == {"default"}
        assert all(found[alias]["state"] == "up" for alias in VARIABLES)
        assert [name for name, row in found.items() if row["configured"]] == ["default"]
        assert set(found["default"]["apps"]) >= {"documents", "caches", "workspace", "accounts"}
        assert found["replica"]["state"] == "not configured"
        assert found["replica"]["served_by"] == ""

    def test_that_is_no_finding(self, one_database):
        assert one_database.manage("describe_databases").returncode == 0


class TestFindings:
    def test_a_store_that_is_down_exits_with_1_and_says_why(self, clone):
        installation = clone("default", "documents")
        done = installation.manage("describe_databases", DOCUMENTS_DATABASE_URL=NOBODY_LISTENS)
        (row,) = [line for line in done.stdout.splitlines() if line.startswith("documents")]

        assert done.returncode == 1
        assert "down: " in row
        assert "refused" in row
        assert "S3cr3t" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr

    def test_a_store_that_is_down_and_was_not_asked_for_is_no_finding(self, clone):
        installation = clone("default", "documents")
        done = installation.manage(
            "describe_databases", "default", DOCUMENTS_DATABASE_URL=NOBODY_LISTENS
        )

        assert done.returncode == 0, done.stdout

    @pytest.mark.parametrize(
        ("variable", "url"),
        [
            ("REDIS_URL", "redis://:S3cr3t@127.0.0.1:1/0"),
            ("MONGO_URL", "mongodb://u:S3cr3t@127.0.0.1:1/?serverSelectionTimeoutMS=100"),
        ],
    )
    def test_so_do_redis_and_mongodb(self, clone, variable, url):
        done = clone("default").manage("describe_databases", **{variable: url})

        assert done.returncode == 1
        assert "127.0.0.1:1" in done.stdout
        assert "down: " in done.stdout
        assert "S3cr3t" not in done.stdout + done.stderr

    def test_an_unknown_name_exits_with_2_and_lists_the_known(self):
        with pytest.raises(
            CommandError, match=r"There is no store 'nowhere'\. Stores: default, "
        ) as caught:
            call_command("describe_databases", "nowhere")

        assert caught.value.returncode == 2

    @pytest.mark.outage
    def test_a_server_that_hangs_is_down_within_seconds(self, clone):
        installation = clone("default", "documents")
        if "others" not in installation.servers.servers:
            pytest.skip("this shape has one server")
        installation.servers.pause("others")
        found = rows(installation.report("describe_databases", "default", "documents"))
        installation.servers.resume("others")

        assert found["default"]["state"] == "up"
        assert found["documents"]["state"].startswith("down: ")
        eventually(lambda: installation.servers.sql("documents", "SELECT 1"))


class TestSecrets:
    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("redis://:S3cr3t@h:1/0", "h:1/0"),
            ("redis://h:1/0?password=S3cr3t", "h:1/0"),
            ("redis://h:1/0?password=a@S3cr3t", "h:1/0"),
            ("redis://:a?S3cr3t@h:1/0", "h:1/0"),
            ("redis://:a@S3cr3t@h:1/0", "h:1/0"),
            ("mongodb://u:S3cr3t@a:1,b:2/db?replicaSet=x", "a:1,b:2/db"),
            ("mongodb://u:S3cr3t@a/db?appName=@b@S3cr3t@", "a/db"),
            ("redis://:a?b=S3cr3t@h:1/0", ""),
            ("", ""),
        ],
    )
    def test_an_address_has_no_password(self, url, shown):
        assert "S3cr3t" not in _host_of_url(url)
        assert _host_of_url(url) in {shown, ":a"}

    def test_nothing_of_a_url_but_its_address_is_shown(self, clone):
        installation = clone("default")
        url = installation.servers.url_of("default", tcp=True)
        parts = urlsplit(url)._replace(path=f"/{installation.names['default']}")
        done = installation.manage("describe_databases", DATABASE_URL=parts.geturl())

        assert done.returncode == 0, done.stderr
        assert f"127.0.0.1:{parts.port}/{installation.names['default']}" in done.stdout
        assert str(parts.password) not in done.stdout + done.stderr
        assert "polystore@" not in done.stdout
