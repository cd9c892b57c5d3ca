"""Configured is not moved: rows stay in sight until an operator decides, and then can be read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command

from databases.left_behind import left_behind
from databases.placement import PlacedElsewhere
from devservers.sets import ServerSet
from documents.models import Document
from tests.databases.conftest import Installation
from tests.running_site import ROOT, Site

ADD = """
import uuid
from documents.models import Document
Document.objects.create(title={title!r}, owner_id=uuid.uuid4())
"""
COUNTS = "SELECT count(*) FROM documents_document"
LEAVE = ("place_app", "documents", "--on", "documents", "--leave-existing")


def run(installation: Installation, code: str, **environment: str) -> str:
    """Run Python in a process of the site and return what it printed."""
    done = installation.manage("shell", "--no-imports", "-c", code, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def rows(installation: Installation, alias: str) -> int:
    ((count,),) = installation.sql(alias, COUNTS)
    return int(count)


def row_of_placement(installation: Installation) -> tuple[str, int, bool]:
    ((alias, epoch, left),) = installation.sql(
        "default",
        "SELECT alias, epoch, left_existing FROM databases_placement WHERE app_label = 'documents'",
    )
    return alias, epoch, left


@pytest.fixture(scope="session")
def waiting(
    servers_of_the_session: ServerSet, migrated_into_one: Installation
) -> Iterator[Installation]:
    """Give a site with one document in its only database a URL for documents; do not change it."""
    made = Installation(servers_of_the_session)
    made.add("default", template=migrated_into_one.names["default"])
    made.sql(
        "default",
        "INSERT INTO documents_document (id, title, kind, description, owner_id, status)"
        " VALUES (gen_random_uuid(), 'Old', 'other', '', gen_random_uuid(), 'active')",
    )
    made.add("documents")
    yield made
    made.drop()


@pytest.fixture(scope="session")
def placing(servers_of_the_session: ServerSet, waiting: Installation) -> Iterator[Installation]:
    """Return a copy of that site, to be placed."""
    made = Installation(servers_of_the_session)
    for alias, name in waiting.names.items():
        made.add(alias, template=name)
    yield made
    made.drop()


@pytest.fixture(scope="session")
def said(placing: Installation) -> str:
    """Place documents on their own database, add a row, and return what the command said."""
    done = placing.manage(*LEAVE)
    assert done.returncode == 0, done.stdout + done.stderr
    run(placing, ADD.format(title="New"))
    return done.stdout


@pytest.fixture(scope="session")
def placed(placing: Installation, said: str) -> Installation:
    """Return a site whose documents were placed on their own database; do not change it."""
    return placing


def a_copy(empty: Installation, of: Installation) -> Installation:
    for alias, name in of.names.items():
        empty.add(alias, template=name)
    return empty


@pytest.fixture
def a_waiting_site(empty: Installation, waiting: Installation) -> Installation:
    """Return a copy that the test may change."""
    return a_copy(empty, waiting)


@pytest.fixture
def a_placed_site(empty: Installation, placed: Installation) -> Installation:
    """Return a copy that the test may change."""
    return a_copy(empty, placed)


class TestAUrlAppears:
    def test_rows_stay_where_they_are_and_new_ones_go_beside_them(self, a_waiting_site):
        assert a_waiting_site.manage("migrate_all").returncode == 0
        run(a_waiting_site, ADD.format(title="New"))

        assert row_of_placement(a_waiting_site) == ("default", 1, False)
        assert rows(a_waiting_site, "default") == 2
        assert "documents_document" not in a_waiting_site.tables("documents")

    def test_the_check_and_the_description_say_so_and_what_can_be_done_today(self, waiting):
        checked = waiting.manage("check", "--database", "default")
        (note,) = waiting.report("describe_databases")["notes"]

        for text in (checked.stderr, f"{note['text']} {note['remedy']}"):
            assert "rows of 'documents' still live on 'default'" in text
            assert "place_app documents --on documents --leave-existing" in text
        assert "databases.W010" in checked.stderr

    def test_without_rows_migrate_all_lets_the_app_move_in(self, a_waiting_site):
        a_waiting_site.sql("default", "DELETE FROM documents_document")
        checked = a_waiting_site.manage("check", "--database", "default")
        assert "Run migrate_all" in checked.stderr

        assert a_waiting_site.manage("migrate_all").returncode == 0

        assert row_of_placement(a_waiting_site) == ("documents", 2, False)
        assert "documents_document" in a_waiting_site.tables("documents")


class TestPlacing:
    def test_new_rows_go_to_the_new_database_and_old_ones_stay(self, placed, said):
        assert "documents: documents.0001_initial" in said
        assert "New rows of documents go to 'documents'" in said
        assert "Rows stay in the primary: documents_document" in said
        assert row_of_placement(placed) == ("documents", 2, True)
        assert (rows(placed, "default"), rows(placed, "documents")) == (1, 1)

    def test_repeating_it_changes_nothing(self, placed):
        again = placed.report(*LEAVE)

        assert (again["changed"], again["epoch"]) == (False, 2)
        assert again["tables_with_rows_left"] == ["documents_document"]
        assert row_of_placement(placed) == ("documents", 2, True)

    def test_migrate_all_respects_it(self, placed):
        assert placed.manage("migrate_all").returncode == 0
        assert row_of_placement(placed) == ("documents", 2, True)

    def test_the_check_and_the_description_remind_of_what_was_left(self, placed):
        checked = placed.manage("check", "--database", "default")
        (note,) = placed.report("describe_databases")["notes"]

        assert checked.returncode == 0
        assert "databases.W013" in checked.stderr
        assert (note["check"], note["app"]) == ("W013", "documents")
        assert "left_behind" in note["remedy"]

    def test_the_reminder_ends_with_the_rows(self, a_placed_site):
        a_placed_site.sql("default", "DELETE FROM documents_document")

        assert "W013" not in a_placed_site.manage("check", "--database", "default").stderr

    def test_without_rows_nothing_has_to_be_left(self, a_waiting_site):
        a_waiting_site.sql("default", "DELETE FROM documents_document")

        assert a_waiting_site.manage("place_app", "documents", "--on", "documents").returncode == 0
        assert row_of_placement(a_waiting_site) == ("documents", 2, False)

    def test_while_the_new_database_holds_no_rows_it_can_be_taken_back(self, a_placed_site):
        a_placed_site.sql("documents", "DELETE FROM documents_document")

        done = a_placed_site.manage("place_app", "documents", "--on", "default")

        assert done.returncode == 0, done.stderr
        assert row_of_placement(a_placed_site) == ("default", 3, False)

    def test_running_processes_follow_within_seconds(self, a_waiting_site):
        with subprocess.Popen(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", FOLLOW],
            cwd=ROOT,
            env=Site(a_waiting_site.environment).environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as follower:
            assert follower.stdout is not None
            assert follower.stdout.readline() == "default\n"
            a_waiting_site.manage(*LEAVE)
            assert follower.stdout.readline() == "documents\n"


FOLLOW = """
import time
from databases import placement
placement.keep_refreshing()
print(placement.alias_of("documents"), flush=True)
while placement.alias_of("documents") == "default":
    time.sleep(0.05)
print(placement.alias_of("documents"), flush=True)
"""


class TestRefusals:
    def test_while_rows_exist_their_staying_must_be_said(self, waiting):
        done = waiting.manage("place_app", "documents", "--on", "documents")

        assert done.returncode == 1
        assert "holds rows of 'documents'" in done.stderr
        assert "--leave-existing" in done.stderr
        assert row_of_placement(waiting) == ("default", 1, False)

    @pytest.mark.parametrize(
        ("app_label", "alias", "reason"),
        [
            ("nothing", "documents", "There is no app 'nothing'"),
            ("accounts", "documents", "lives in the primary and nowhere else"),
            ("sessions", "documents", "lives in the primary and nowhere else"),
            ("documents", "nowhere", "'nowhere' is no database"),
            ("documents", "replica", "'replica' is no database"),
            ("documents", "cache", "declared to live on 'documents'"),
        ],
    )
    def test_bad_use_says_what_would_be_good(self, app_label, alias, reason):
        with pytest.raises(CommandError, match=reason) as caught:
            call_command("place_app", app_label, on=alias, skip_checks=True)

        assert caught.value.returncode == 2

    def test_bad_use_ends_with_2(self, waiting):
        done = waiting.manage("place_app", "analytics", "--on", "analytics")

        assert done.returncode == 2
        assert "Set ANALYTICS_DATABASE_URL" in done.stderr

    def test_rows_of_the_new_database_are_not_put_out_of_sight(self, placed):
        done = placed.manage("place_app", "documents", "--on", "default", "--leave-existing")

        assert done.returncode == 1
        assert "'documents' holds rows" in done.stderr
        assert row_of_placement(placed)[0] == "documents"

    def test_a_database_that_is_down_takes_no_app(self, waiting):
        done = waiting.manage(*LEAVE, DOCUMENTS_DATABASE_URL="postgresql://u@/d?host=/nonexistent")

        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert row_of_placement(waiting) == ("default", 1, False)


READ_LEFT = """
import uuid
from databases.guards import WrongDatabase
from databases.left_behind import left_behind
from databases.placement import LeftRowsStay
from documents.models import Document, DocumentVersion

def refused(action, error=LeftRowsStay):
    try:
        action()
    except error:
        return
    raise SystemExit(f"{action} was not refused")

old = left_behind(Document).get()
assert old.title == "Old"
assert [d.title for d in Document.objects.all()] == []
assert left_behind(Document).filter(title="Old").count() == 1
assert list(left_behind(Document).values_list("title", flat=True)) == ["Old"]
assert [d.pk for d in left_behind(Document).iterator()] == [old.pk]
assert [d.title for d in left_behind(Document).prefetch_related("versions")] == ["Old"]
assert list(old.versions.all()) == []
old.refresh_from_db()

refused(old.save)
refused(old.delete)
refused(lambda: old.versions.create(number=1))
queries = left_behind(Document)
refused(lambda: queries.update(title="Newer"))
refused(lambda: queries.delete())
refused(lambda: queries.filter(title="Old")._raw_delete("default"))
refused(lambda: queries.create(title="New", owner_id=uuid.uuid4()))
refused(lambda: queries.bulk_create([Document(title="New", owner_id=uuid.uuid4())]))
refused(lambda: queries.bulk_update([old], ["title"]))
refused(lambda: queries.get_or_create(title="Old"))
refused(lambda: queries.update_or_create(title="Old"))
refused(lambda: Document.objects.using("default").update(title="x"), WrongDatabase)

copy = Document.objects.create(title=old.title, owner_id=old.owner_id)
assert Document.objects.get().pk == copy.pk
assert left_behind(DocumentVersion).count() == 0
print("read")
"""


class TestWhatWasLeft:
    def test_can_be_read_along_its_relations_and_never_written(self, a_placed_site):
        a_placed_site.sql("documents", "DELETE FROM documents_document")

        assert run(a_placed_site, READ_LEFT) == "read"
        assert (rows(a_placed_site, "default"), rows(a_placed_site, "documents")) == (1, 1)

    def test_nothing_is_left_where_nobody_left_anything(self):
        assert list(left_behind(Document)) == []


AWAY = [
    pytest.param({"DOCUMENTS_DATABASE_URL": ""}, id="url-taken-away"),
    pytest.param({"SPLIT_DB_MODE": "false"}, id="split-mode-off"),
]
SENTENCE = "documents on 'documents'"


@pytest.mark.parametrize("change", AWAY)
class TestTakingADatabaseAway:
    def test_the_check_refuses_it(self, placed, change):
        done = placed.manage("check", "--database", "default", **change)

        assert done.returncode == 1
        assert "databases.E007" in done.stderr
        assert "DOCUMENTS_DATABASE_URL" in done.stderr

    def test_web_processes_refuse_to_start(self, placed, change):
        done = started(placed, "gunicorn", "-c", "config/gunicorn.py", "config.wsgi", **change)

        assert done.returncode != 0
        assert SENTENCE in done.stdout

    def test_asynchronous_web_processes_refuse_to_start(self, placed, change):
        done = started(placed, "-c", "import config.asgi", **change)

        assert done.returncode != 0
        assert SENTENCE in done.stdout

    def test_workers_refuse_to_start(self, placed, servers, change):
        redis = {"REDIS_URL": servers.environment()["REDIS_URL"]}
        done = started(placed, "celery", "-A", "config", "worker", "-c", "1", **change, **redis)

        assert done.returncode != 0
        assert SENTENCE in done.stdout

    def test_who_serves_nevertheless_refuses_each_query(self, placed, change):
        answer = run(placed, ASK, **change)

        assert answer.startswith(PlacedElsewhere.__name__)
        assert "DOCUMENTS_DATABASE_URL" in answer


ASK = """
from documents.models import Document
try:
    Document.objects.count()
except Exception as error:
    print(type(error).__name__, error.remedy)
"""


def started(installation: Installation, *arguments: str, **environment: str):
    """Start a process that is expected to end by itself; return it with all that it printed."""
    command = arguments if arguments[0] == "-c" else ("-m", *arguments)
    site = Site(installation.environment | environment)
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=site.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


class TestStarting:
    def test_a_primary_that_is_down_keeps_no_process_from_starting(self, placed):
        down = placed.environment | {"DATABASE_URL": "postgresql://u@/d?host=/nonexistent"}
        site = Site(down)
        try:
            site.start(workers=1)
            assert site.get("/health").status_code == 200
        finally:
            site.stop()

    def test_with_every_database_there_the_web_starts(self, placed):
        site = Site(placed.environment)
        try:
            site.start(workers=1)
            assert site.get("/health").status_code == 200
        finally:
            site.stop()
