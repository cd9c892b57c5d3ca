"""What was not finished, or was changed since, never passes for a backup."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.databases.backup.conftest import documents_of
from tests.databases.conftest import Installation
from tests.running_site import ROOT, Site
from tests.waiting import eventually


def check(installation: Installation, folder: Path, *options: str) -> tuple[int, list[str]]:
    """Return the exit status and the findings of --check."""
    done = installation.manage("restore", str(folder), "--check", "--json", *options)
    return done.returncode, json.loads(done.stdout)["findings"]


@pytest.fixture
def copy(kept, tmp_path) -> Path:
    """Return a copy of the backup, to be spoilt."""
    _, folder = kept
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


class TestTheCheck:
    def test_proves_every_file_and_row_and_restores_into_scratch_databases(self, kept):
        installation, folder = kept

        done = installation.manage("restore", str(folder), "--check", "--deep")

        assert done.returncode == 0, done.stdout + done.stderr
        assert "are as the manifest says, and were restored" in done.stdout
        assert not installation.sql(
            "default", "SELECT FROM pg_database WHERE datname LIKE 'polystore_check%'"
        )
        with documents_of(installation) as database:
            names = database.client.list_database_names()
        assert not [name for name in names if name.startswith("polystore_check")]

    def test_finds_a_changed_byte_a_missing_file_and_a_strange_one(self, kept, copy):
        installation, _ = kept
        dump = copy / "default.dump"
        content = bytearray(dump.read_bytes())
        content[len(content) // 2] ^= 1
        dump.write_bytes(content)
        (copy / "mongodb" / "collections.json").unlink()
        (copy / "strange").write_text("?")

        status, findings = check(installation, copy)

        assert status == 1
        assert findings == [
            "default.dump was changed: its SHA-256 is another",
            "mongodb/collections.json is missing",
            "strange does not belong to it",
        ]
        done = installation.manage("restore", str(copy), "--yes", "--replace")
        assert done.returncode == 1
        assert "3 files are wrong" in done.stderr

    def test_a_changed_manifest_is_no_manifest(self, kept, copy):
        installation, _ = kept
        path = copy / "manifest.json"
        path.write_text(path.read_text().replace('"whole": true', '"whole": false'))

        done = installation.manage("restore", str(copy), "--check")

        assert done.returncode == 2
        assert "was changed" in done.stderr


class TestABackupThatIsKilled:
    def start(self, installation: Installation, folder: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "manage.py", "backup", str(folder)],
            cwd=ROOT,
            env=Site(installation.environment).environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def test_leaves_nothing_that_passes_for_one_and_the_next_one_succeeds(self, kept, tmp_path):
        installation, _ = kept
        folder = tmp_path / "backup"
        partial = tmp_path / "backup.partial"
        # Its rows are being counted: the command is killed in the middle of its work.
        blocker = "BEGIN; LOCK TABLE pair_left IN ACCESS EXCLUSIVE MODE"
        with psycopg.connect(installation.url("default")) as session:
            session.execute(blocker)
            process = self.start(installation, folder)
            eventually(partial.exists)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

            assert not folder.exists()
            done = installation.manage("restore", str(partial), "--check")
            assert done.returncode == 2
            assert "was not finished" in done.stderr

        done = installation.manage("backup", str(folder))

        assert done.returncode == 0, done.stderr
        assert not partial.exists()
        states = installation.sql(
            "default", "SELECT state, error FROM databases_backuprun ORDER BY id DESC LIMIT 2"
        )
        assert states[0] == ("done", "")
        assert states[1] == ("failed", "The process that made it ended before it was done.")

    def test_one_that_is_asked_to_stop_takes_its_files_along(self, kept, tmp_path):
        installation, _ = kept
        with psycopg.connect(installation.url("default")) as session:
            session.execute("LOCK TABLE pair_left IN ACCESS EXCLUSIVE MODE")
            process = self.start(installation, tmp_path / "backup")
            eventually((tmp_path / "backup.partial").exists)
            os.kill(process.pid, signal.SIGTERM)

            assert process.wait(20) == 143
        assert list(tmp_path.iterdir()) == []


class TestAPlaceThatDoesNotFit:
    def test_a_folder_that_exists_or_has_no_parent_is_refused(self, kept, tmp_path):
        installation, _ = kept

        for folder, says in ((tmp_path, "exists already"), (tmp_path / "a" / "b", "no folder")):
            done = installation.manage("backup", str(folder))
            assert done.returncode == 1
            assert says in done.stderr

    def test_programs_that_are_missing_are_named_with_what_to_do(self, kept, tmp_path):
        installation, _ = kept

        done = installation.manage(
            "backup", str(tmp_path / "backup"), POSTGRES_BIN_DIR="", PATH="/nonexistent"
        )

        assert done.returncode == 1
        assert "pg_dump of PostgreSQL 18 was not found" in done.stderr
        assert "POSTGRES_BIN_DIR" in done.stderr
        assert list(tmp_path.iterdir()) == []
