"""The two commands move the primary to another server; and no password is in sight meanwhile."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psycopg
import pytest

from databases.stores.versioned import VERSION
from outbox.events import version_of
from tests.databases.backup.conftest import (
    PAIR,
    WRITE_A_PAIR,
    backed_up,
    documents_of,
    manifest_of,
    restored,
    rows,
    rows_there,
)
from tests.databases.conftest import Installation
from tests.running_site import ROOT, Site
from tests.waiting import eventually

RESTORED_EPOCH = "SELECT epoch FROM outbox_deliverystate"
ADD_AN_EVENT = """
INSERT INTO outbox_outboxevent (sink, shard, aggregate_type, aggregate_id, event_type)
VALUES ('mongodb', 0, 'todo', 'one', 'todo.created') RETURNING id
"""


class Watch:
    """Looks at every command line of the machine, over and over."""

    def __init__(self, secret: str) -> None:
        self.secret = secret.encode()
        self.seen: list[bytes] = []
        self.programs: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._stop.wait(0.002):
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    line = entry.read_bytes()
                    self.programs.add(Path(line.partition(b"\0")[0].decode()).name)
                    if self.secret in line:
                        self.seen.append(line)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture(scope="session")
def another_server(servers_of_the_session):
    return servers_of_the_session.add_postgres("another", databases=["moved"])


@pytest.fixture
def old(made, one_database) -> Iterator[Installation]:
    """Return a site whose primary is to be moved; it is reached by TCP, with a password."""
    installation = made(one_database)
    installation.sql("default", PAIR)
    for number in range(5):
        installation.sql("default", WRITE_A_PAIR, [f"{number}", f"{number}"])
    installation.sql("default", "UPDATE outbox_deliverystate SET epoch = 7")
    role = f"reader_{installation.names['default']}"
    installation.sql("default", f"CREATE ROLE {role} LOGIN")
    installation.sql("default", f"GRANT SELECT ON pair_left TO {role}")
    installation.environment["DATABASE_URL"] = installation.servers.url_of_database(
        "primary", installation.names["default"], tcp=True
    )
    yield installation
    installation.sql("default", f"DROP OWNED BY {role}")
    installation.sql("default", f"DROP ROLE {role}")


def test_rows_sequences_roles_and_rights_move_and_a_new_epoch_begins(old, another_server, tmp_path):
    folder = tmp_path / "backup"
    password = urlsplit(old.environment["DATABASE_URL"]).password
    assert password
    old.sql("default", ADD_AN_EVENT)
    ((last,),) = old.sql("default", ADD_AN_EVENT)
    new_url = old.servers.url_of_database(another_server, "moved", tcp=True)

    with Watch(password) as watch:
        done = old.manage("backup", str(folder), "--json")
        assert done.returncode == 0, done.stderr
        moved = old.manage(
            *("restore", str(folder), "--only", "default", "--roles", "--with-privileges", "--yes"),
            DATABASE_URL=new_url,
        )
    assert moved.returncode == 0, moved.stdout + moved.stderr

    # No password anywhere
    assert {"pg_dump", "psql"} <= watch.programs
    assert watch.seen == []
    said = done.stdout + done.stderr + moved.stdout + moved.stderr
    files = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert password not in said
    assert password.encode() not in files

    with psycopg.connect(new_url, autocommit=True) as new:
        # Rows, and who may read them
        assert new.execute("SELECT count(*) FROM pair_right").fetchone() == (5,)
        role = f"reader_{old.names['default']}"
        asked = "SELECT has_table_privilege(%s, 'pair_left', 'SELECT')"
        assert new.execute(asked, [role]).fetchone() == (True,)
        # Sequences go on: behind every id that was given out
        new.execute(WRITE_A_PAIR, ["six", "six"])
        assert new.execute("SELECT max(id) FROM pair_left").fetchone() == (6,)
        assert new.execute(ADD_AN_EVENT).fetchall() > [(last,)]
        # On a server that nobody knows anything of, far above what the backup knows
        assert new.execute(RESTORED_EPOCH).fetchone() == (1007,)
    assert "epoch 1007 has begun" in moved.stdout
    # The old primary is as it was.
    assert old.sql("default", RESTORED_EPOCH) == [(7,)]


def test_after_a_restore_in_place_the_epoch_is_above_all_that_were(old, tmp_path):
    folder = tmp_path / "backup"
    backed_up(old, folder, "--only", "default")
    old.sql("default", "UPDATE outbox_deliverystate SET epoch = 30")

    said = restored(old, folder, "--replace")

    assert old.sql("default", RESTORED_EPOCH) == [(31,)]
    assert "verify_sync --repair" in said

    # A read model that knows of a later one counts, too.
    with documents_of(old) as database:
        database.users.insert_one({"_id": "somebody", VERSION: version_of(50, 1)})
    restored(old, folder, "--replace")
    assert old.sql("default", RESTORED_EPOCH) == [(51,)]


def test_a_dump_goes_to_the_database_of_another_alias_where_that_is_asked_for(kept, made):
    installation, folder = kept
    other = made(Installation(installation.servers))
    other.environment["DATABASE_URL"] = installation.url("default")
    other.add("data")

    refused = other.manage("restore", str(folder), "--to-url-of", "data", "--yes")
    assert refused.returncode == 2
    restored(other, folder, "--only", "default", "--to-url-of", "data")

    there = rows_there(other, "data")
    assert there == rows(manifest_of(folder), "default")
    assert there["pair_left"] == 20
    # The epoch begins in the database that was restored, and in no other.
    assert other.sql("data", RESTORED_EPOCH) == [(1001,)]
    assert installation.sql("default", RESTORED_EPOCH) == [(1,)]


def test_whoever_sees_the_rows_of_a_restore_sees_its_epoch_wherever_it_is_killed(old, tmp_path):
    folder = tmp_path / "backup"
    backed_up(old, folder, "--only", "default")
    old.sql("default", "UPDATE outbox_deliverystate SET epoch = 30")
    old.sql("default", "UPDATE pair_left SET note = 'later'")

    def is_back() -> bool:
        try:
            return old.sql("default", "SELECT count(*) FROM pair_left WHERE note = '0'") == [(1,)]
        except psycopg.errors.UndefinedTable:
            return False  # the table that was asked for is dropped, and the new one is not there

    with subprocess.Popen(
        [sys.executable, "manage.py", "restore", str(folder), "--yes", "--replace"],
        cwd=ROOT,
        env=Site(old.environment).environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as restoring:
        eventually(is_back)
        restoring.kill()

    assert old.sql("default", RESTORED_EPOCH) == [(31,)]
