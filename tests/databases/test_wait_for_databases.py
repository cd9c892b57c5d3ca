"""`wait_for_databases` returns when every configured store answers, and names who is missing."""

from __future__ import annotations

import time
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from databases import health
from tests.running_site import Site
from tests.waiting import eventually

NOBODY_LISTENS = "postgresql://polystore:S3cr3t@127.0.0.1:1/nothing"


@pytest.mark.django_db(databases="__all__")
class TestAllAnswer:
    def test_it_returns_at_once_and_names_them(self):
        out = StringIO()
        call_command("wait_for_databases", stdout=out)

        assert out.getvalue().startswith("All answer: default")
        assert set(out.getvalue().strip(".\n").removeprefix("All answer: ").split(", ")) == set(
            health.report().stores
        )

    def test_only_those_that_are_named(self):
        out = StringIO()
        call_command("wait_for_databases", "default", stdout=out)

        assert out.getvalue() == "All answer: default.\n"

    def test_a_name_that_is_not_configured_is_refused_with_2(self):
        with pytest.raises(
            CommandError, match=r"'nowhere' is not configured\. Configured: "
        ) as caught:
            call_command("wait_for_databases", "nowhere")

        assert caught.value.returncode == 2


class TestSomebodyIsMissing:
    def test_it_gives_up_when_time_is_up_and_says_who_and_why(self, clone):
        began = time.monotonic()
        done = clone("default").manage(
            "wait_for_databases", "--timeout", "0.5", DOCUMENTS_DATABASE_URL=NOBODY_LISTENS
        )

        assert done.returncode == 1
        assert "Still not answering: documents (" in done.stderr
        assert "default" not in done.stderr
        assert "S3cr3t" not in done.stderr
        assert "Traceback" not in done.stderr
        assert time.monotonic() - began < 20

    def test_without_a_primary_it_says_so(self, empty):
        done = empty.manage("wait_for_databases", "--timeout", "0")

        assert done.returncode == 1
        assert "DATABASE_URL is not set" in done.stderr

    @pytest.mark.parametrize("seconds", ["soon", "-1", "nan"])
    def test_a_time_that_is_none_is_refused_with_2(self, empty, seconds):
        done = empty.manage("wait_for_databases", "--timeout", seconds)

        assert done.returncode == 2

    @pytest.mark.outage
    def test_it_waits_for_a_server_that_comes_back(self, servers):
        server = "others" if "others" in servers.servers else "primary"
        site = Site(servers.environment())
        servers.stop(server)
        waiting = site.spawn("django", "wait_for_databases", "--timeout", "60")
        servers.start(server)
        eventually(lambda: waiting.poll() is not None)

        assert waiting.returncode == 0
