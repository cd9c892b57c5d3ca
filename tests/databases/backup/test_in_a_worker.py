"""Backups in a real worker, asked for by the API; the worker or pg_dump is killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.databases.backup.conftest import PAIR
from tests.databases.conftest import Installation
from tests.running_site import Site
from tests.waiting import eventually

pytestmark = [pytest.mark.outage, pytest.mark.timeout(400)]

ASK = """
import django
django.setup()
from django.test import Client
from accounts.models import User
staff = User.objects.filter(is_staff=True).first()
if staff is None:
    staff = User.objects.create_user("staff@example.com", is_staff=True)
client = Client(SERVER_NAME="127.0.0.1")
client.force_login(staff)
print(client.post("/api/backup/full").content.decode())
"""


class Worker:
    """An installation whose backups a Celery worker makes."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation = installation
        self.folder = folder
        redis = urlsplit(installation.servers.environment()["REDIS_URL"])._replace(path="/9")
        installation.environment |= {"REDIS_URL": redis.geturl(), "BACKUP_DIR": str(folder)}
        self.site = Site(installation.environment)
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        return self.site.spawn("celery", "-A", "config", "worker", "--concurrency=1")

    def asked(self) -> dict[str, Any]:
        """Ask by the API, as staff."""
        answer: dict[str, Any] = json.loads(self.site.python(ASK).splitlines()[-1])
        return answer

    def state(self, run: dict[str, Any]) -> tuple[str, str]:
        found = self.installation.sql(
            "default", "SELECT state, error FROM databases_backuprun WHERE id = %s", [run["id"]]
        )
        return found[0][0], found[0][1]

    def is_done(self, run: dict[str, Any]) -> bool:
        state = self.state(run)
        assert state[0] != "failed", state
        return state[0] == "done"

    def dumpers(self) -> list[int]:
        """Return the processes of pg_dump that dump this installation."""
        name = self.installation.names["default"].encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = entry.read_bytes()
            except OSError:
                continue
            if b"/pg_dump\0" in line and name in line:
                found.append(int(entry.parent.name))
        return found

    def asked_and_in_the_middle(self) -> tuple[dict[str, Any], int]:
        """Ask, and stop pg_dump in the middle of its work; return the run and the process."""
        with ThreadPoolExecutor(1) as beside:
            caught = beside.submit(self._stop_a_dumper)
            run = self.asked()
            pid = caught.result()
        assert self.state(run)[0] == "running"
        return run, pid

    def _stop_a_dumper(self) -> int:
        """Look for one from before it is there: it may be done within a tenth of a second."""
        found: list[int] = []

        def is_stopped() -> bool:
            found.extend(self.dumpers())
            for pid in found:
                os.kill(pid, signal.SIGSTOP)
            return bool(found)

        eventually(is_stopped, seconds=90)
        return found[0]


@pytest.fixture
def worker(made, one_database, tmp_path) -> Iterator[Worker]:
    installation = made(one_database)
    installation.sql("default", PAIR)
    # Enough for pg_dump to be seen at work
    installation.sql(
        "default",
        "INSERT INTO pair_left (note) SELECT repeat('x', 100) FROM generate_series(1, 100000)",
    )
    folder = tmp_path / "backups"
    folder.mkdir()
    worker = Worker(installation, folder)
    yield worker
    worker.site.stop()


def test_whoever_is_killed_leaves_nothing_half_made_and_the_next_one_succeeds(worker) -> None:
    run, dumper = worker.asked_and_in_the_middle()
    os.kill(dumper, signal.SIGKILL)
    eventually(lambda: worker.state(run)[0] == "failed")
    assert "pg_dump ended with status -9" in worker.state(run)[1]
    assert list(worker.folder.iterdir()) == []

    run, dumper = worker.asked_and_in_the_middle()
    worker.site.kill(worker.process)
    assert worker.state(run)[0] == "running"  # nobody was left to say otherwise
    assert [each.suffix for each in worker.folder.iterdir()] == [".partial"]
    eventually(lambda: not worker.dumpers())
    worker.process = worker.start()

    again = worker.asked()  # the dead run makes room
    eventually(lambda: worker.is_done(again), seconds=90)
    assert worker.state(run) == ("failed", "The process that made it ended before it was done.")
    # What the dead run left goes after the new one is told to be done.
    eventually(lambda: len(list(worker.folder.iterdir())) == 1)
    (folder,) = worker.folder.iterdir()
    assert folder.suffix == ""
    done = worker.site.manage("restore", str(folder), "--check", "--json")
    assert json.loads(done.stdout)["ok"]
