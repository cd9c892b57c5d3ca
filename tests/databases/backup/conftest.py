"""Installations with databases, documents and programs of their own, to back up and restore."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymongo
import pytest

from devservers.sets import ServerSet
from tests.databases.conftest import Installation

PAIR = """
CREATE TABLE pair_left (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);
CREATE TABLE pair_right (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)
"""
WRITE_A_PAIR = """
WITH one AS (INSERT INTO pair_left (note) VALUES (%s))
INSERT INTO pair_right (note) VALUES (%s)
"""
ADD_A_DOCUMENT = """
INSERT INTO documents_document (id, title, kind, description, owner_id, status)
VALUES (gen_random_uuid(), %s, 'other', '', gen_random_uuid(), 'active')
"""


def equipped(installation: Installation) -> Installation:
    """Give an installation PostgreSQL's programs and an own database of MongoDB."""
    of_the_set = installation.servers.environment()
    mongo = urlsplit(of_the_set["MONGO_URL"])._replace(path=f"/backup_{uuid.uuid4().hex[:10]}")
    installation.environment["POSTGRES_BIN_DIR"] = of_the_set["POSTGRES_BIN_DIR"]
    installation.environment["MONGO_URL"] = mongo.geturl()
    return installation


@contextmanager
def documents_of(installation: Installation) -> Iterator[Any]:
    """Give the installation's MongoDB database to the block."""
    with pymongo.MongoClient(installation.environment["MONGO_URL"]) as client:
        yield client.get_default_database()


def backed_up(installation: Installation, folder: Path, *options: str) -> dict[str, Any]:
    """Back up and return the manifest."""
    done = installation.manage("backup", str(folder), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return manifest_of(folder)


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return the manifest as it stands in the folder."""
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


def restored(installation: Installation, folder: Path, *options: str) -> str:
    """Restore and return what the command said."""
    done = installation.manage("restore", str(folder), "--yes", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows(manifest: dict[str, Any], store: str) -> dict[str, int]:
    """Return the rows of each table of a store, as the manifest has them."""
    (dump,) = (each for each in manifest["databases"] if each["name"] == store)
    return {table["name"]: table["rows"] for table in dump["tables"]}


def rows_there(installation: Installation, alias: str) -> dict[str, int]:
    """Return the rows of each table of a database."""
    return {
        name: installation.sql(alias, f'SELECT count(*) FROM "{name}"')[0][0]
        for name in installation.tables(alias)
    }


@pytest.fixture
def made(servers: ServerSet) -> Iterator[Callable[[Installation], Installation]]:
    """Equip installations, and drop them and their documents at the end."""
    known: list[Installation] = []

    def make(installation: Installation) -> Installation:
        known.append(equipped(installation))
        return installation

    yield make
    for installation in known:
        with documents_of(installation) as database:
            database.client.drop_database(database.name)
        installation.drop()


@pytest.fixture
def source(made, installation) -> Installation:
    """Return a migrated installation of all aliases, with something in it."""
    equip = made(installation)
    equip.sql("default", PAIR)
    equip.sql("documents", ADD_A_DOCUMENT, ["Kept"])
    with documents_of(equip) as database:
        database.todos.create_index([("user_id", 1), ("_id", -1)], name="by_user")
        database.todos.insert_many({"_id": n, "user_id": n % 3} for n in range(1500))
        database.create_collection("capped", capped=True, size=4096)
    return equip


@pytest.fixture
def target(made, servers) -> Installation:
    """Return an installation of all aliases whose databases are empty."""
    return made(Installation(servers))


@pytest.fixture(scope="session")
def kept(servers_of_the_session, migrated, tmp_path_factory) -> Iterator[tuple[Installation, Path]]:
    """Return an installation in the shape of one database and a backup of it, to be read only."""
    made = equipped(Installation(servers_of_the_session))
    made.add("default", template=migrated.names["default"])
    made.sql("default", PAIR)
    for number in range(20):
        made.sql("default", WRITE_A_PAIR, [f"{number}", f"{number}"])
    with documents_of(made) as database:
        database.todos.insert_many({"_id": n} for n in range(20))
    folder = tmp_path_factory.mktemp("kept") / "backup"
    backed_up(made, folder)
    yield made, folder
    with documents_of(made) as database:
        database.client.drop_database(database.name)
    made.drop()
