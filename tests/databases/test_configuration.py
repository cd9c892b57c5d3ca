"""The environment's database variables become Django's DATABASES, or are refused by name."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError

from config.settings import env
from databases.aliases import SPECS
from databases.pools import ConfigurationRefused, read_environment
from tests.databases.conftest import VARIABLES
from tests.running_site import KEPT, ROOT

PRIMARY = {"DATABASE_URL": "postgresql://u:S3cr3t@h/d"}


def settled(**environ: str) -> dict[str, dict[str, Any]]:
    return read_environment(PRIMARY | environ).databases


def refused(**environ: str) -> str:
    with pytest.raises(ConfigurationRefused) as caught:
        read_environment(PRIMARY | environ)
    assert "S3cr3t" not in str(caught.value)
    return str(caught.value)


class TestAliases:
    @pytest.mark.parametrize(
        ("alias", "pool_max", "seconds"),
        [
            ("default", 20, 30),
            ("cache", 15, 30),
            ("analytics", 15, 45),
            ("documents", 25, 60),
            ("compliance", 10, 30),
            ("data", 15, 60),
            ("replica", 30, 20),
        ],
    )
    def test_each_has_the_figures_of_the_table(self, alias, pool_max, seconds):
        url = "postgresql://u@h/x"
        entry = settled(**dict.fromkeys([*VARIABLES.values(), "READ_REPLICA_DATABASE_URL"], url))[
            alias
        ]

        assert entry["OPTIONS"]["pool"]["max_size"] == pool_max
        assert f"-c statement_timeout={seconds * 1000}" in entry["OPTIONS"]["options"]

    def test_pools_are_empty_at_first_and_wait_two_seconds(self):
        pool = settled()["default"]["OPTIONS"]["pool"]

        assert pool["min_size"] == 0
        assert pool["timeout"] == 2.0
        assert pool["reconnect_timeout"] == 3.0

    @pytest.mark.parametrize("alias", ["default", "cache"])
    def test_the_second_name_of_a_variable_works(self, alias):
        second = SPECS[alias].variables[1]
        found = read_environment({second: "postgresql://u@second/d"})

        assert found.databases[alias]["HOST"] == "second"
        assert found.configured == {alias}

    def test_two_names_that_differ_are_refused(self):
        sentence = refused(PRIMARY_DATABASE_URL="postgresql://u:S3cr3t@other/d")

        assert sentence.startswith("DATABASE_URL and PRIMARY_DATABASE_URL are both set and differ")

    def test_two_names_that_agree_are_one(self):
        assert settled(PRIMARY_DATABASE_URL=PRIMARY["DATABASE_URL"])["default"]["HOST"] == "h"

    def test_an_alias_without_a_url_is_left_to_the_primary(self):
        found = read_environment(PRIMARY | {"CACHE_DATABASE_URL": "  "})

        assert set(found.databases) == {"default"}
        assert found.configured == {"default"}

    def test_cockroach_has_a_backend_of_its_own_and_no_start_up_options(self):
        entry = settled(DATA_DATABASE_URL="cockroachdb://u@h/d")["data"]

        assert entry["ENGINE"] == "databases.backend_cockroach"
        assert "options" not in entry["OPTIONS"]

    def test_the_repr_of_the_configuration_is_not_needed_to_know_it(self):
        found = read_environment(PRIMARY | {"DATA_DATABASE_URL": "postgresql://u@h/x"})

        assert found.configured == found.declared == {"default", "data"}


class TestReplicas:
    def test_several_are_numbered_and_mirror_the_primary_in_tests(self):
        found = settled(READ_REPLICA_DATABASE_URL="postgresql://u@a/d, postgresql://u@b/d,")

        assert set(found) == {"default", "replica", "replica_2"}
        assert found["replica"]["HOST"] == "a"
        assert found["replica_2"]["HOST"] == "b"
        assert found["replica_2"]["TEST"]["MIRROR"] == "default"

    def test_commas_in_passwords_and_between_hosts_do_not_split(self):
        found = settled(READ_REPLICA_DATABASE_URL="postgresql://u:p,w@a:1,b:2/d,postgresql://u@c/d")

        assert found["replica"]["PASSWORD"] == "p,w"
        assert found["replica"]["HOST"] == "a,b"
        assert found["replica_2"]["HOST"] == "c"

    def test_the_second_one_is_checked_too(self):
        assert refused(
            READ_REPLICA_DATABASE_URL="postgresql://u@a/d,mysql://u:S3cr3t@b/d"
        ).startswith("READ_REPLICA_DATABASE_URL must be a URL")

    def test_any_alias_may_have_its_own(self):
        found = settled(
            CACHE_DATABASE_URL="postgresql://u@c/d", CACHE_REPLICA_DATABASE_URL="postgresql://u@r/d"
        )

        assert found["cache_replica"]["HOST"] == "r"
        assert found["cache_replica"]["TEST"]["MIRROR"] == "cache"
        assert found["cache_replica"]["POLYSTORE"]["role"] == "replica"

    def test_one_of_an_alias_that_the_primary_serves_is_left_out_with_a_warning(self):
        found = read_environment(PRIMARY | {"CACHE_REPLICA_DATABASE_URL": "postgresql://u@r/d"})

        assert set(found.databases) == {"default"}
        (warning,) = found.warnings
        assert warning.startswith("CACHE_REPLICA_DATABASE_URL: 'cache' has no URL of its own")

    def test_figures_and_regions_may_be_of_one_or_of_all(self):
        found = settled(
            READ_REPLICA_DATABASE_URL="postgresql://u@a/d,postgresql://u@b/d",
            CACHE_DATABASE_URL="postgresql://u@c/d",
            CACHE_REPLICA_DATABASE_URL="postgresql://u@r/d",
            READ_REPLICA_POOL_MAX="7",
            READ_REPLICA_2_POOL_MAX="8",
            CACHE_REPLICA_POOL_MAX="9",
            READ_REPLICA_REGION="eu",
            READ_REPLICA_2_REGION="us",
            REPLICA_REGION="nowhere",
        )
        ours = {alias: entry["POLYSTORE"] for alias, entry in found.items()}

        assert [ours[alias]["pool_max"] for alias in ("replica", "replica_2", "cache_replica")] == [
            7,
            8,
            9,
        ]
        assert [ours[alias]["region"] for alias in ours] == ["", "", "eu", "us", ""]

    def test_regions_may_stand_in_the_order_of_the_urls(self):
        found = settled(
            READ_REPLICA_DATABASE_URL="postgresql://u@a/d,postgresql://u@b/d",
            READ_REPLICA_REGION="eu, us",
        )

        assert found["replica"]["POLYSTORE"]["region"] == "eu"
        assert found["replica_2"]["POLYSTORE"]["region"] == "us"

    def test_they_are_read_only(self):
        entry = settled(READ_REPLICA_DATABASE_URL="postgresql://u@a/d")["replica"]

        assert "-c default_transaction_read_only=on" in entry["OPTIONS"]["options"]


class TestSplit:
    def test_false_sends_everything_to_the_primary(self):
        found = read_environment(
            PRIMARY
            | {
                "SPLIT_DB_MODE": "false",
                "DATA_DATABASE_URL": "postgresql://u@h/x",
                "READ_REPLICA_DATABASE_URL": "postgresql://u@r/d",
            }
        )

        assert set(found.databases) == {"default"}
        assert found.configured == {"default"}
        assert found.declared == {"default", "data", "replica"}
        assert not found.split

    @pytest.mark.parametrize("value", ["", "true", "1", "YES"])
    def test_unset_or_true_uses_what_is_configured(self, value):
        assert "data" in settled(SPLIT_DB_MODE=value, DATA_DATABASE_URL="postgresql://u@h/x")

    def test_anything_else_is_refused(self):
        assert refused(SPLIT_DB_MODE="perhaps") == "SPLIT_DB_MODE must be true or false."

    def test_a_malformed_url_is_refused_even_where_it_is_not_used(self):
        assert refused(SPLIT_DB_MODE="false", DATA_DATABASE_URL="x").startswith("DATA_DATABASE_URL")


class TestFigures:
    def test_a_variable_wins_over_the_url(self):
        url = "postgresql://u@h/x?pool_max=7&pool_timeout=1.5&statement_timeout=9"
        by_url = settled(ANALYTICS_DATABASE_URL=url)["analytics"]
        by_variable = settled(
            ANALYTICS_DATABASE_URL=url,
            ANALYTICS_POOL_MAX="30",
            ANALYTICS_POOL_TIMEOUT="0.5",
            ANALYTICS_STATEMENT_TIMEOUT="0.25",
        )["analytics"]

        assert by_url["OPTIONS"]["pool"]["max_size"] == 7
        assert by_url["OPTIONS"]["pool"]["timeout"] == 1.5
        assert "-c statement_timeout=9000" in by_url["OPTIONS"]["options"]
        assert by_variable["OPTIONS"]["pool"]["max_size"] == 30
        assert by_variable["OPTIONS"]["pool"]["timeout"] == 0.5
        assert "-c statement_timeout=250" in by_variable["OPTIONS"]["options"]

    @pytest.mark.parametrize("prefix", ["PRIMARY", "DEFAULT"])
    def test_the_primary_has_two_prefixes(self, prefix):
        assert settled(**{f"{prefix}_POOL_MAX": "3"})["default"]["POLYSTORE"]["pool_max"] == 3

    def test_connection_limit_is_the_pools_maximum(self):
        entry = settled(DATA_DATABASE_URL="postgresql://u@h/x?connection_limit=4")["data"]

        assert entry["OPTIONS"]["pool"]["max_size"] == 4

    @pytest.mark.parametrize(
        "value", ["0", "-1", "many", "2.5", "1e3", "1_0", "٣", "inf", "9999999"]
    )
    def test_a_pool_has_a_whole_size(self, value):
        assert (
            refused(PRIMARY_POOL_MAX=value)
            == "PRIMARY_POOL_MAX must be a whole number from 1 to 1000000."
        )

    @pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf", "1e3"])
    def test_a_time_is_a_number_of_seconds(self, value):
        assert refused(DEFAULT_STATEMENT_TIMEOUT=value).startswith(
            "DEFAULT_STATEMENT_TIMEOUT must be a number from 0.001"
        )

    def test_a_wrong_one_in_the_url_names_variable_and_parameter(self):
        assert refused(DATA_DATABASE_URL="postgresql://u:S3cr3t@h/x?pool_max=no").startswith(
            "DATA_DATABASE_URL: pool_max must be a whole number"
        )


class TestPoolers:
    def test_a_pooler_gets_no_pool_no_options_and_no_prepared_statements(self):
        entry = settled(DATA_DATABASE_URL="postgresql://u@h/x?pgbouncer=true")["data"]

        assert "pool" not in entry["OPTIONS"]
        assert "options" not in entry["OPTIONS"]
        assert entry["OPTIONS"]["prepare_threshold"] is None
        assert entry["DISABLE_SERVER_SIDE_CURSORS"] is True

    def test_options_in_its_url_are_dropped_with_a_warning(self):
        found = read_environment(
            {"DATABASE_URL": "postgresql://u@h/x?pgbouncer=true&options=-c%20a%3Db"}
        )

        assert "options" not in found.databases["default"]["OPTIONS"]
        (warning,) = found.warnings
        assert warning.startswith("DATABASE_URL: ")
        assert "options" in warning

    @pytest.mark.parametrize(
        "name",
        ["DIRECT_DATABASE_URL", "PRIMARY_DIRECT_DATABASE_URL", "DEFAULT_DIRECT_DATABASE_URL"],
    )
    def test_the_way_around_has_no_pool_and_says_so(self, name):
        url = "postgresql://u@pooler/d?pgbouncer=true"
        entry = read_environment({"DATABASE_URL": url, name: "postgresql://u@direct/d"}).databases[
            "default"
        ]
        direct = entry["POLYSTORE"]["direct"]

        assert entry["HOST"] == "pooler"
        assert direct["HOST"] == "direct"
        assert "pool" not in direct["OPTIONS"]
        assert direct["DISABLE_SERVER_SIDE_CURSORS"] is False
        assert direct["OPTIONS"]["application_name"] == "polystore:default:direct"

    def test_each_alias_has_its_own_way_around(self):
        found = settled(
            DATA_DATABASE_URL="postgresql://u@h/x", DATA_DIRECT_DATABASE_URL="postgresql://u@d/x"
        )

        assert found["data"]["POLYSTORE"]["direct"]["HOST"] == "d"
        assert "direct" not in found["default"]["POLYSTORE"]

    def test_a_malformed_one_is_refused_by_its_own_name(self):
        assert refused(DIRECT_DATABASE_URL="mysql://u:S3cr3t@h/x").startswith("DIRECT_DATABASE_URL")


class TestWarnings:
    def test_parameters_of_other_tools_are_named_with_their_variable(self):
        found = read_environment(
            PRIMARY
            | {
                "DATA_DATABASE_URL": "postgresql://u:S3cr3t@h/x?schema=S3cr3t&sslaccept=strict",
                "DIRECT_DATABASE_URL": "postgresql://u@h/d?socket_timeout=1",
            }
        )

        dropped = "these parameters mean nothing here and are dropped"

        assert sorted(found.warnings) == [
            f"DATA_DATABASE_URL: {dropped}: schema, sslaccept.",
            f"DIRECT_DATABASE_URL: {dropped}: socket_timeout.",
        ]


class TestTheEnvironmentsValues:
    def test_a_whole_number(self, monkeypatch):
        monkeypatch.setenv("PROCESSES", " 12 ")
        assert env.integer("PROCESSES", 4) == 12
        monkeypatch.setenv("PROCESSES", "")
        assert env.integer("PROCESSES", 4) == 4

    @pytest.mark.parametrize("value", ["four", "--5", "-", "1.5", "٣", "0", "11", "9" * 5000])
    def test_anything_else_is_refused_by_name(self, monkeypatch, value):
        monkeypatch.setenv("PROCESSES", value)

        with pytest.raises(
            ImproperlyConfigured, match="PROCESSES must be a whole number from 1 to 9"
        ):
            env.integer("PROCESSES", 4, least=1, most=9)

    def test_a_flag_is_true_or_false(self, monkeypatch):
        monkeypatch.setenv("DEBUG", "maybe")

        with pytest.raises(ImproperlyConfigured, match="DEBUG must be true or false"):
            env.flag("DEBUG", default=False)

    def test_a_list_has_no_empty_parts(self, monkeypatch):
        monkeypatch.setenv("ALLOWED_HOSTS", " a, ,b,")

        assert env.items("ALLOWED_HOSTS") == ["a", "b"]


def imported(module: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Import settings in a process whose environment holds nothing else."""
    import os

    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", f"import {module} as s; print(s.DATABASES['default']['ENGINE'])"],
        cwd=ROOT,
        env=kept | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class TestSettings:
    @pytest.mark.parametrize("name", ["base", "local", "test"])
    def test_they_import_with_an_empty_environment(self, name):
        done = imported(f"config.settings.{name}")

        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "databases.backend"

    def test_a_malformed_url_stops_them_with_a_sentence(self):
        done = imported("config.settings.local", DATABASE_URL="mysql://u:S3cr3t@h/d")

        assert done.returncode == 1
        last = done.stderr.strip().splitlines()[-1]
        assert "ImproperlyConfigured: DATABASE_URL must be a URL such as" in last
        assert "S3cr3t" not in done.stderr

    def test_a_command_without_a_database_says_which_variable_to_set(self, empty):
        done = empty.manage("shell", "-c", "from accounts.models import User; User.objects.count()")

        assert "DATABASE_URL is not set. Set it to the database's URL." in done.stderr

    def test_a_command_that_needs_none_works_without(self, empty):
        done = empty.manage("check")

        assert done.returncode == 0, done.stderr


TIMEOUTS = {
    "statement_timeout": "1500ms",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "1min",
}


class TestOnTheConnection:
    @pytest.fixture
    def shown(self, connect):
        def shown(wrapper, name: str) -> str:
            with wrapper.cursor() as cursor:
                cursor.execute(f"SHOW {name}")
                return str(cursor.fetchone()[0])

        return shown

    @pytest.fixture
    def environ(self, empty):
        return {
            "DATABASE_URL": empty.add("default"),
            "DEFAULT_STATEMENT_TIMEOUT": "1.5",
            "READ_REPLICA_STATEMENT_TIMEOUT": "1.5",
        }

    @pytest.mark.parametrize(("name", "value"), TIMEOUTS.items())
    def test_the_bounds_are_set(self, connect, shown, environ, name, value):
        assert shown(connect(environ), name) == value

    def test_options_in_the_url_are_kept_beside_them(self, connect, shown, environ):
        url = f"{environ['DATABASE_URL']}&options=-c%20search_path%3Dmine"
        wrapper = connect(environ | {"DATABASE_URL": url})

        assert shown(wrapper, "search_path") == "mine"
        assert shown(wrapper, "statement_timeout") == "1500ms"

    def test_a_replica_is_read_only_also_where_the_server_is_not(self, connect, shown, environ):
        wrapper = connect(
            environ | {"READ_REPLICA_DATABASE_URL": environ["DATABASE_URL"]}, "replica"
        )

        assert shown(wrapper, "default_transaction_read_only") == "on"
        assert shown(wrapper, "statement_timeout") == "1500ms"

    def test_a_statement_that_takes_too_long_is_ended(self, connect, environ):
        wrapper = connect(environ | {"DEFAULT_STATEMENT_TIMEOUT": "0.1"})

        with pytest.raises(OperationalError, match="statement timeout"), wrapper.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(20)")

    @pytest.mark.parametrize(
        ("alias", "direct", "expected"),
        [
            ("default", False, "polystore:default:primary"),
            ("default", True, "polystore:default:direct"),
            ("data", False, "polystore:data:primary"),
            ("replica", False, "polystore:replica:replica"),
            ("replica_2", False, "polystore:replica_2:replica"),
        ],
    )
    def test_application_name_names_alias_and_role(self, connect, environ, alias, direct, expected):
        url = environ["DATABASE_URL"]
        more = {
            "DATA_DATABASE_URL": f"{url}&application_name=mine",
            "DIRECT_DATABASE_URL": url,
            "READ_REPLICA_DATABASE_URL": f"{url},{url}",
        }
        with connect(environ | more, alias, direct=direct).cursor() as cursor:
            cursor.execute("SHOW application_name")

            assert cursor.fetchone() == (expected,)
