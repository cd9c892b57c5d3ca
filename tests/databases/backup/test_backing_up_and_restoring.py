"""A backup holds one moment of every store, and comes back as it was."""

from __future__ import annotations

import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
from django.core.management import CommandError, call_command

from databases.backup import manifest
from tests.databases.backup.conftest import (
    ADD_A_DOCUMENT,
    WRITE_A_PAIR,
    backed_up,
    documents_of,
    restored,
    rows,
    rows_there,
)
from tests.databases.conftest import VARIABLES, Installation
from tests.homes import databases_of
from tests.waiting import eventually


class Writers:
    """Threads that write as long as the block lasts."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.written = 0
        self.stop = threading.Event()
        self.failed: list[BaseException] = []

    def write(self) -> None:
        try:
            with (
                psycopg.connect(self.installation.url("default"), autocommit=True) as primary,
                psycopg.connect(self.installation.url("documents"), autocommit=True) as documents,
                documents_of(self.installation) as database,
            ):
                while not self.stop.is_set():
                    primary.execute(WRITE_A_PAIR, ["a", "b"])
                    documents.execute(ADD_A_DOCUMENT, ["Written meanwhile"])
                    with database.client.start_session() as session, session.start_transaction():
                        database.left.insert_one({}, session=session)
                        database.right.insert_one({}, session=session)
                    self.written += 1
        except BaseException as error:
            self.failed.append(error)
            raise


@contextmanager
def writing(installation: Installation) -> Iterator[Writers]:
    writers = Writers(installation)
    with documents_of(installation) as database:
        for name in ("left", "right"):
            database.create_collection(name)
    threads = [threading.Thread(target=writers.write) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: writers.written > 20)
        yield writers
    finally:
        writers.stop.set()
        for thread in threads:
            thread.join()
    assert not writers.failed


def test_while_the_site_writes_every_store_is_of_one_moment_and_all_of_it_comes_back(
    source, target, tmp_path
):
    folder = tmp_path / "backup"
    with writing(source) as writers:
        before = writers.written
        made = backed_up(source, folder)
        during = writers.written - before

    # What was written
    assert during > 0
    assert [dump["aliases"] for dump in made["databases"]] == [[alias] for alias in VARIABLES]
    assert made["whole"]
    assert made["mongodb"]["consistent"]
    assert made["notes"] == ["mongodb: capped, so each of a moment of its own: capped"]
    counted = rows(made, "default")
    assert counted["pair_left"] == counted["pair_right"] >= 20
    documents = {each["name"]: each["documents"] for each in made["mongodb"]["collections"]}
    assert documents["left"] == documents["right"] >= 20
    assert made["placement"]["documents"] == "documents"
    assert "0001_initial" in made["databases"][0]["migrations"]["databases"]
    assert (folder / made["roles"]["default"]).read_text().count("CREATE ROLE") >= 1
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert set(modes.values()) == {0o600, 0o700}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not list(tmp_path.glob("*.partial"))

    # What comes back
    for alias in VARIABLES:
        target.add(alias)
    restored(target, folder)
    for alias in VARIABLES:
        assert rows_there(target, alias) == rows(made, alias)
    with documents_of(target) as database:
        assert {
            name: database[name].count_documents({}) for name in database.list_collection_names()
        } == documents
        assert database.todos.index_information()["by_user"]["key"] == [("user_id", 1), ("_id", -1)]
        assert database.capped.options()["capped"]
    # Sequences stand behind the rows: the next row gets an id that no other has.
    target.sql("default", WRITE_A_PAIR, ["after", "after"])
    assert target.manage("migrate_all", "--check").returncode == 0


def test_what_one_database_serves_is_dumped_once_and_comes_back_by_several_connections(
    kept, target, tmp_path
):
    installation, _ = kept
    folder = tmp_path / "backup"
    # A second alias that names the same database is no second one.
    again = installation.url("default")
    done = installation.manage(
        "backup", str(folder), "--only", "default", "cache", "--jobs", "2", CACHE_DATABASE_URL=again
    )
    assert done.returncode == 0, done.stderr
    target.add("default")

    said = restored(target, folder, "--only", "cache")

    assert "default" in said
    assert (folder / "default").is_dir()
    assert rows_there(target, "default")["pair_left"] == 20
    assert not (folder / "mongodb").exists()


class TestRestoringOverWhatIsThere:
    def test_is_refused_until_it_is_asked_for_and_is_all_or_nothing(self, kept, made, tmp_path):
        installation, folder = kept
        target = made(Installation(installation.servers))
        target.add("default", template=installation.names["default"])
        target.sql("default", "INSERT INTO pair_left (note) VALUES ('newer')")
        target.sql("default", "CREATE VIEW of_later AS SELECT * FROM pair_left")
        with documents_of(target) as database:
            database.todos.insert_one({"_id": "newer"})

        refused = target.manage("restore", str(folder), "--yes")

        assert refused.returncode == 1
        assert "--replace" in refused.stderr
        assert rows_there(target, "default")["pair_left"] == 21
        only_documents = target.manage("restore", str(folder), "--yes", "--only", "mongodb")
        assert only_documents.returncode == 1
        assert "todos" in only_documents.stderr

        # A dump that is not what the manifest says: nothing of the old rows is lost.
        damaged = tmp_path / "damaged"
        shutil.copytree(folder, damaged)
        claim_more_rows(damaged)
        done = target.manage("restore", str(damaged), "--yes", "--replace", "--only", "default")
        assert done.returncode == 1
        assert "pair_left must have 21 rows and has 20" in done.stderr
        assert target.sql("default", "SELECT count(*) FROM of_later") == [(21,)]

        restored(target, folder, "--replace")
        assert rows_there(target, "default")["pair_left"] == 20
        with documents_of(target) as database:
            assert database.todos.count_documents({}) == 20
            assert not [n for n in database.list_collection_names() if n.startswith("restoring")]

    def test_asks_and_does_nothing_where_nobody_can_answer(self, kept, made):
        installation, folder = kept
        target = made(Installation(installation.servers))
        target.add("default")

        done = target.manage("restore", str(folder))

        assert done.returncode == 2
        assert "--yes" in done.stderr
        assert target.tables("default") == set()


def claim_more_rows(folder) -> None:
    """Let a manifest claim a row that the dump does not have."""
    known = manifest.read(folder)
    (dump,) = known.databases
    tables = tuple(
        replace(table, rows=21) if table.name == "pair_left" else table for table in dump.tables
    )
    manifest.write(folder, replace(known, databases=(replace(dump, tables=tables),)))


@pytest.mark.django_db(databases=databases_of())
@pytest.mark.parametrize("name", ["nothing", "replica"])
def test_a_name_that_is_no_database_for_rows_is_refused_and_the_others_are_named(name, tmp_path):
    with pytest.raises(CommandError, match="is no database in use") as e:
        call_command("backup", str(tmp_path / "backup"), "--only", name)

    assert e.value.returncode == 2
    assert "Databases in use: default, " in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_one_that_the_primary_serves_is_in_the_primarys_dump_and_not_asked_for_by_name(
    kept, tmp_path
):
    installation, _ = kept

    done = installation.manage("backup", str(tmp_path / "backup"), "--only", "documents")

    assert done.returncode == 2
    assert "'documents' is served by the primary" in done.stderr
