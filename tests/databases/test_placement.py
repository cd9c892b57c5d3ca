"""Configured is not moved: an app is served from where its rows lie, whatever the URLs say."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.db import connections, router

from databases import placement
from databases.aliases import HOME_OF_APP
from databases.models import Placement
from databases.placement import PlacedElsewhere
from documents.models import Document

pytestmark = pytest.mark.django_db(databases="__all__")
SPLIT = pytest.mark.skipif(
    "documents" not in settings.DATABASES, reason="no alias is configured in this shape"
)
HOME = "documents" if "documents" in settings.DATABASES else "default"


@pytest.fixture(autouse=True)
def forgotten():
    """Begin and end with the declared homes."""
    placement.forget()
    yield
    placement.forget()


def stored() -> dict[str, tuple[str, int]]:
    return {row.app_label: (row.alias, row.epoch) for row in Placement.objects.all()}


class TestWhereAnAppLives:
    def test_nothing_is_written_down_so_it_is_at_home(self):
        assert placement.refresh()

        assert placement.alias_of("documents") == HOME
        assert placement.alias_of("accounts") == "default"

    @SPLIT
    def test_rows_that_were_not_moved_are_served_from_where_they_lie(self):
        placement.record({"documents": "default"})

        assert placement.alias_of("documents") == "default"
        assert router.db_for_read(Document) == router.db_for_write(Document) == "default"
        assert router.allow_migrate("default", "documents")
        assert not router.allow_migrate("documents", "documents")
        assert placement.unmoved() == {"documents": "default"}

    def test_a_database_that_was_taken_away_is_refused_with_the_variable_to_set(self):
        placement.record({"documents": "elsewhere", "caches": "default"})
        with pytest.raises(
            PlacedElsewhere, match="rows of documents live on 'elsewhere'"
        ) as caught:
            router.db_for_read(Document)

        assert caught.value.status == 503
        assert caught.value.code == "databases.placed_elsewhere"
        assert not router.allow_migrate("default", "documents")
        assert placement.elsewhere(frozenset(connections.settings)) == {"documents": "elsewhere"}
        assert placement.alias_of("accounts") == "default"

    @pytest.mark.parametrize("app_label", ["documents", "caches"])
    def test_the_remedy_names_the_variable(self, app_label):
        home = HOME_OF_APP[app_label].value
        refused = PlacedElsewhere(app_label, home)

        assert f"Set {home.upper()}_DATABASE_URL again" in refused.remedy


class TestNoQuery:
    def test_routing_asks_no_database(self, django_assert_num_queries):
        placement.forget()
        with django_assert_num_queries(0):
            for label in HOME_OF_APP:
                placement.alias_of(label)
            router.db_for_read(Document)
            router.db_for_write(Document)
            router.allow_migrate("default", "documents")

    def test_nor_where_no_database_may_be_asked(self, django_db_blocker):
        placement.forget()
        with django_db_blocker.block():
            assert placement.alias_of("documents") == HOME


class TestRefreshing:
    def test_another_process_is_followed(self):
        placement.refresh()
        Placement.objects.create(app_label="documents", alias="default")
        before = placement.alias_of("documents")
        placement.refresh()

        assert before == HOME
        assert placement.alias_of("documents") == "default"

    def test_while_the_primary_does_not_answer_the_last_known_counts(self, connect):
        placement.record({"documents": "default"})
        gone = connect({"DATABASE_URL": "postgresql://u@/d?host=/nonexistent"})
        known = connections["default"]
        connections["default"] = gone
        try:
            assert not placement.refresh()
            assert placement.alias_of("documents") == "default"
        finally:
            connections["default"] = known

    def test_without_its_table_the_declared_homes_count(self, empty):
        empty.add("default")
        done = empty.manage(
            "shell",
            "--verbosity=0",
            "-c",
            "from databases import placement;"
            " print(placement.refresh(), placement.alias_of('documents'))",
            DOCUMENTS_DATABASE_URL=empty.url("default"),
        )

        assert done.stdout.split() == ["False", "documents"], done.stderr

    def test_without_a_primary_it_says_that_it_read_nothing(self, connect):
        known = connections["default"]
        connections["default"] = connect({})
        try:
            assert not placement.refresh()
        finally:
            connections["default"] = known

    def test_a_thread_that_resolves_meanwhile_does_not_bring_the_old_home_back(self, monkeypatch):
        class ChangesMeanwhile(dict[str, str]):
            def get(self, key: str, default: Any = None) -> Any:
                monkeypatch.undo()
                Placement.objects.create(app_label="documents", alias="default")
                placement.refresh()
                return default

        monkeypatch.setattr(placement, "_placed", ChangesMeanwhile())
        placement.alias_of("documents")

        assert placement.alias_of("documents") == "default"


class TestRecording:
    def test_a_move_raises_the_epoch_and_a_repetition_does_not(self):
        placement.record({"documents": "default", "caches": "default"})
        placement.record({"documents": "default", "caches": "cache"})
        placement.record({"documents": "default"})

        assert stored() == {"documents": ("default", 1), "caches": ("cache", 2)}

    def test_it_counts_at_once(self):
        placement.record({"workspace": "default"})

        assert placement.placed() == {"workspace": "default"}
        assert placement.alias_of("workspace") == "default"


class TestAssuming:
    @SPLIT
    def test_migrations_see_the_homes_that_are_about_to_be_written_down(self):
        placement.record({"documents": "default"})
        with placement.assumed({"documents": "documents"}):
            assert placement.alias_of("documents") == "documents"
            Placement.objects.create(app_label="caches", alias="default")
            placement.refresh()
            assert placement.alias_of("documents") == "documents"

        assert placement.alias_of("documents") == "default"
        assert placement.alias_of("caches") == "default"


SERVE_AND_WATCH = """
import os, sys, time, django
django.setup()
from django.test import Client
from databases import placement
placement.REFRESH_SECONDS = 0.05
{begin}
assert placement.alias_of("documents") == "documents", placement.placed()
print("ready", flush=True)
sys.stdin.readline()
deadline = time.monotonic() + 20
while placement.alias_of("documents") != "default":
    assert time.monotonic() < deadline, "the change was not seen"
    time.sleep(0.01)
print("seen", flush=True)
"""


class TestProcessesThatRefresh:
    @pytest.mark.parametrize(
        "begin",
        [
            pytest.param("Client().get('/health')", id="a web process"),
            pytest.param(
                "from celery.signals import worker_process_init;"
                " worker_process_init.send(sender=None)",
                id="a Celery worker's child",
            ),
            pytest.param(
                "placement.keep_refreshing(); pid = os.fork()\n"
                "if pid: sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
                "placement.keep_refreshing()",
                id="a child made by fork",
            ),
        ],
    )
    def test_they_follow_a_change_by_themselves(self, clone, begin, python):
        installation = clone("default", "documents")
        with python(SERVE_AND_WATCH.format(begin=begin), installation) as process:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
            installation.sql(
                "default",
                "UPDATE databases_placement SET alias = 'default' WHERE app_label = 'documents'",
            )
            said, failure = process.communicate("go on\n", timeout=60)

        assert said == "seen\n", failure

    def test_a_command_reads_it_once(self, clone):
        installation = clone("default", "documents")
        installation.sql("default", "UPDATE databases_placement SET alias = 'default'")
        done = installation.manage(
            "shell",
            "--verbosity=0",
            "-c",
            "from databases import placement; print(placement.alias_of('documents'))",
        )

        assert done.stdout.split() == ["default"], done.stderr
