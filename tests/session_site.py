"""Several processes of the site and people who are signed in, for tests of sessions."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

import psycopg

from tests.running_site import ROOT, Site
from tests.waiting import eventually

PROCESSES = 2
_SHELL = """
import json, os, sys, traceback
from django.db import close_old_connections
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what is logged is no answer
for line in sys.stdin:
    result, error = None, ""
    try:
        exec(json.loads(line))
    except Exception:
        error = traceback.format_exc()
    finally:
        close_old_connections()
    print(json.dumps([error, result]), file=answers, flush=True)
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


@dataclass(frozen=True, slots=True)
class Answer:
    """What the site said to one request."""

    status: int
    """0 where it said nothing."""
    process: str = ""
    cookie: str = ""
    statements: int = 0
    """How many the request ran."""


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
        """Run code in a process of the site that serves nobody; return what it calls `result`.

        :raises RuntimeError: where it raised.
        """
        shell = self._shell
        assert shell.stdin is not None and shell.stdout is not None
        shell.stdin.write(json.dumps(code) + "\n")
        shell.stdin.flush()
        error, result = json.loads(shell.stdout.readline())
        if error:
            raise RuntimeError(error)
        return result

    def people(self, count: int, *, devices: int = 1) -> list[Person]:
        """Make people, signed in on so many devices each."""
        code = _MAKE.format(first=self._made, people=count, devices=devices)
        self._made += count
        return [Person(user_id, tuple(keys)) for user_id, keys in self.run(code)]

    def ask(self, cookie: str) -> tuple[int, str]:
        """Return status and process of one answer; 0 where none came."""
        answer = self.send("GET", "/who", cookie=cookie)
        return answer.status, answer.process

    def send(self, method: str, path: str, *, cookie: str = "", **form: str) -> Answer:
        """Make one request on a connection of its own, so that any process may answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=30)
        headers = {"Connection": "close", "Content-Type": "application/x-www-form-urlencoded"}
        if cookie:
            headers["Cookie"] = f"sessionid={cookie}"
        try:
            connection.request(method, path, body=urlencode(form), headers=headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return Answer(status=0)
        finally:
            connection.close()
        given: SimpleCookie = SimpleCookie()
        for line in response.headers.get_all("Set-Cookie", []):
            given.load(line)
        return Answer(
            status=response.status,
            process=response.headers.get("X-Process", ""),
            statements=int(response.headers.get("X-Statements", "0")),
            cookie=given["sessionid"].value if "sessionid" in given else cookie,
        )

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
        try:
            eventually(lambda: found.send("GET", "/ready").status == 200, seconds=120)
            yield found
        finally:
            found.close()
    finally:
        site.stop()
