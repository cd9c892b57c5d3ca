"""Several processes of the site and people who are signed in, for tests of sessions."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg

from tests.running_site import ROOT, Site
from tests.waiting import eventually

PROCESSES = 2
_SHELL = """
import json, os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what is logged is no answer
for line in sys.stdin:
    result = None
    exec(json.loads(line))
    print(json.dumps(result), file=answers, flush=True)
"""
_MAKE = """
from django.contrib.auth import login
from django.http import HttpRequest
from accounts.models import User
from accounts.sessions.engine import SessionStore
made = []
for number in range({first}, {first} + {people}):
    user = User.objects.create_user(f"person-{{number}}@example.com")
    keys = []
    for device in range({devices}):
        request = HttpRequest()
        request.session = SessionStore()
        login(request, user)
        request.session.save()
        keys.append(request.session.session_key)
    made.append([str(user.pk), keys])
result = made
"""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in on some devices."""

    id: str
    cookies: tuple[str, ...]


class SessionSite:
    """The processes, and questions to all of them."""

    def __init__(self, site: Site, database_url: str) -> None:
        """Wrap a site that was started."""
        self.site = site
        self.database_url = database_url
        self._made = 0
        self._shell = subprocess.Popen(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", _SHELL],
            cwd=ROOT,
            env=site.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the process that `run` talks to."""
        with self._shell as shell:
            assert shell.stdin is not None
            shell.stdin.close()

    def run(self, code: str) -> Any:
        """Run code in a process of the site that serves nobody; return what it calls `result`."""
        shell = self._shell
        assert shell.stdin is not None and shell.stdout is not None
        shell.stdin.write(json.dumps(code) + "\n")
        shell.stdin.flush()
        said = shell.stdout.readline()
        assert said, "The code raised."
        return json.loads(said)

    def people(self, count: int, *, devices: int = 1) -> list[Person]:
        """Make people, signed in on so many devices each."""
        code = _MAKE.format(first=self._made, people=count, devices=devices)
        self._made += count
        return [Person(user_id, tuple(keys)) for user_id, keys in self.run(code)]

    def ask(self, cookie: str) -> tuple[int, str]:
        """Return status and process of one answer, on a connection of its own."""
        answer = self.site.get("/who", cookies={"sessionid": cookie})
        return answer.status_code, answer.headers.get("X-Process", "")

    def ask_all(self, *cookies: str) -> set[int]:
        """Ask every process about each session; return the statuses."""
        statuses = set()
        for cookie in cookies:
            seen: set[str] = set()
            while len(seen) < PROCESSES:
                status, process = self.ask(cookie)
                statuses.add(status)
                seen.add(process)
        return statuses

    def sql(self, statement: str, *values: Any) -> None:
        """Run and commit a statement, as an operator at a terminal would."""
        with psycopg.connect(self.database_url) as connection:
            connection.execute(statement.encode(), values)

    def accepted_for(self, *cookies: str) -> float:
        """Ask until every process refuses these sessions; return for how long any was accepted."""
        begun, last = time.monotonic(), 0.0
        for cookie in cookies:
            refusing: set[str] = set()
            while len(refusing) < PROCESSES:
                at = time.monotonic() - begun
                assert at < 30, "It is still accepted."
                status, process = self.ask(cookie)
                if status == 200:
                    last = max(last, at)
                    refusing.discard(process)
                else:
                    refusing.add(process)
        return last


class Crowd:
    """People who keep asking, each with a session of their own; what they were told."""

    def __init__(self, site: SessionSite, cookies: list[str]) -> None:
        """Describe them."""
        self.site = site
        self.cookies = cookies
        self.answers: list[tuple[float, float, str, int]] = []
        """Begin, end (monotonic), cookie, status."""
        self._over = threading.Event()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask all the time in this block."""
        threads = [threading.Thread(target=self._ask, args=[cookie]) for cookie in self.cookies]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def statuses(self, *, since: float = 0.0) -> set[int]:
        """Return the statuses of requests that began then or later."""
        return {status for begun, _, _, status in self.answers if begun >= since}

    def accepted_after(self, moment: float, cookie: str) -> float:
        """Return how long after that moment a request was begun that was accepted."""
        begins = [
            begun - moment
            for begun, _, asked, status in self.answers
            if asked == cookie and status == 200
        ]
        return max(begins, default=0.0)

    def _ask(self, cookie: str) -> None:
        while not self._over.is_set():
            begun = time.monotonic()
            try:
                status, _ = self.site.ask(cookie)
            except httpx.TransportError:
                status = 0
            self.answers.append((begun, time.monotonic(), cookie, status))
            self._over.wait(0.005)


@contextmanager
def session_site(environment: Mapping[str, str]) -> Iterator[SessionSite]:
    """Migrate and run PROCESSES processes over the servers that `environment` names."""
    site = Site(environment)
    site.environment["ALLOWED_HOSTS"] = "127.0.0.1"
    site.environment["LOG_LEVEL"] = "ERROR"
    site.manage("migrate_all")
    try:
        site.spawn(
            *("gunicorn", "-c", "config/gunicorn.py", "benchmarks.sessions_site:application"),
            WEB_CONCURRENCY=str(PROCESSES),
        )
        found = SessionSite(site, environment["DATABASE_URL"])
        eventually(lambda: _serves(site), seconds=60)
        try:
            yield found
        finally:
            found.close()
    finally:
        site.stop()


def _serves(site: Site) -> bool:
    try:
        return site.get("/ready").status_code == 200
    except httpx.TransportError:
        return False
