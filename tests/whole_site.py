"""A site with web, worker and beat, people who use it, and events that nobody can deliver.

People know what they were told: each change is asked for again, with the same key, until the site
answers. So in the end the stores must hold exactly what was answered, and nothing twice.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from os import kill
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import pymongo

from tests.outbox_site import OutboxSite, Watcher, Writers
from tests.waiting import eventually

PEOPLE: Final = 3
TOKEN: Final = "t" * 32
_SIGN_UP: Final = f"""
import json
import django
django.setup()
from django.test import Client
from accounts.models import User
found = []
for number in range({PEOPLE}):
    address = f"schedule-{{number}}@example.com"
    User.objects.filter(email=address).delete()
    # A number for a name: the watcher of `tests.outbox_site` compares them.
    user = User.objects.create_user(address, first_name="0", last_name="Schedule")
    client = Client()
    client.force_login(user)
    found.append((str(user.pk), client.cookies["sessionid"].value))
print(json.dumps(found))
"""
_MANY_ATTEMPTS: Final = "2"
EXPECTED: Final = frozenset({200, 201, 204, 503})
"""Statuses that people may see while servers come and go: done, or refused for now."""


class WholeSite(OutboxSite):
    """Web, worker and beat over stores that no other test of the session looks into."""

    def up(self) -> None:
        """Start everything, with both stores equal."""
        self.environment["OUTBOX_MAX_ATTEMPTS"] = _MANY_ATTEMPTS
        self.manage("migrate_all")
        self.forget()
        self.manage("ensure_mongo_indexes")
        self.processes = {"web": self.start(), "worker": self.worker(), "beat": self.beat()}
        self.manage("verify_sync", "--repair", "--wait", "60", check=False)
        self.require_equal()

    def sign_up(self) -> list[tuple[str, str]]:
        """Make people; return the id and the session of each."""
        done = self.python(_SIGN_UP)
        found: list[tuple[str, str]] = [tuple(each) for each in json.loads(done)]
        return found

    def children_of(self, name: str) -> list[int]:
        """Return the processes of web or worker that do the work."""
        parent = self.processes[name].pid
        return [
            int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        ]

    def kill_a_child_of(self, name: str, chance: random.Random) -> None:
        """End one of them; their parent starts another."""
        if children := self.children_of(name):
            kill(chance.choice(children), signal.SIGKILL)

    def require_equal(self) -> None:
        """Find nothing that differs between rows and documents, by the command for it."""
        done = self.manage("verify_sync", "--json", check=False)
        assert done.returncode == 0, done.stdout + done.stderr


class Person(threading.Thread):
    """Somebody who makes, completes and deletes todos, and looks at the points that they have."""

    def __init__(self, site: WholeSite, user_id: str, session: str, seed: int) -> None:
        """Sign in."""
        super().__init__()
        self.user_id = user_id
        self.todos: dict[str, tuple[str, int, bool]] = {}
        """Id → title, points, done: what the site answered."""
        self.answers = 0
        self.faults: list[str] = []
        self.last = ""
        """What was heard last: for whoever reads a failure."""
        self._site = site
        self._chance = random.Random(seed)
        self._over = threading.Event()
        self._cookies = {"sessionid": session, "csrftoken": TOKEN}

    @property
    def points(self) -> int:
        """Return what the todos are worth that are done."""
        return sum(points for _, points, done in self.todos.values() if done)

    def stop(self) -> None:
        """End after what is in hand was answered."""
        self._over.set()
        self.join()

    def run(self) -> None:
        """Use the site."""
        with httpx.Client(
            base_url=self._site.url(""),
            cookies=self._cookies,
            headers={"X-CSRFToken": TOKEN},
            timeout=10,
        ) as client:
            while not self._over.wait(self._chance.uniform(0, 0.04)):
                self._do_something(client)
                if self._chance.random() < 0.2:
                    self._look(client)

    def _do_something(self, client: httpx.Client) -> None:
        what = self._chance.random()
        if what < 0.5 or not self.todos:
            title, points = str(uuid.uuid4()), self._chance.randrange(10)
            done = self._chance.random() < 0.5
            body = {"title": title, "points": points, "done": done}
            made = self._ask(client, "POST", "/api/todos", body)
            self.todos[made["id"]] = (title, points, done)
            return
        key = self._chance.choice(list(self.todos))
        if what < 0.85:
            title, points, done = self.todos[key]
            self._ask(client, "PATCH", f"/api/todos/{key}", {"done": not done})
            self.todos[key] = (title, points, not done)
        else:
            self._ask(client, "DELETE", f"/api/todos/{key}")
            del self.todos[key]

    def _look(self, client: httpx.Client) -> None:
        """One's own points are those of the last answer, whichever store and process answers."""
        shown = self._ask(client, "GET", "/api/users/leaderboard")["me"]["points"]
        if shown != self.points:
            self.faults.append(f"{shown} points are shown, {self.points} were given")

    def _ask(self, client: httpx.Client, method: str, path: str, body: Any = None) -> Any:
        """Ask until the site answers: what was lost with its answer must not happen twice."""
        key = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
        for attempt in range(600):
            try:
                answer = client.request(method, path, json=body, headers=key)
            except httpx.TransportError as error:
                self.last = repr(error)
                time.sleep(0.05)  # the process that answered is gone
                continue
            self.last = f"{answer.status_code} {answer.text[:300]}"
            if method == "DELETE" and attempt and answer.status_code == 404:
                return None  # done before, and the answer was lost
            if answer.status_code not in EXPECTED:
                self.faults.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            if answer.is_success:
                self.answers += 1
                return answer.json() if answer.content else None
            time.sleep(0.05)  # refused for now
        raise AssertionError(f"{method} {path} was not answered.")


class Poisoner(threading.Thread):
    """Records events that no projection can read, among good ones of the same transaction."""

    def __init__(self, site: WholeSite, seed: int) -> None:
        """Take a seed: where among the good ones they stand."""
        super().__init__()
        self.recorded: set[int] = set()
        self.maybe: set[int] = set()
        """Whose commit was not answered."""
        self._site = site
        self._chance = random.Random(seed)
        self._over = threading.Event()

    def stop(self) -> None:
        """End."""
        self._over.set()
        self.join()

    def run(self) -> None:
        """Record one now and then."""
        while not self._over.wait(self._chance.uniform(0.1, 0.5)):
            ids: set[int] = set()
            try:
                with psycopg.connect(self._site.primary, connect_timeout=2) as connection:
                    good = self._chance.randrange(6)
                    self._touch(connection, good)
                    row = connection.execute(
                        "INSERT INTO outbox_outboxevent"
                        " (sink, shard, aggregate_type, aggregate_id, event_type)"
                        " VALUES ('mongodb', %s, 'user', %s, 'user.updated') RETURNING id",
                        [self._chance.randrange(16), f"no id {uuid.uuid4()}"],
                    ).fetchone()
                    ids = {row[0]} if row else set()
                    self._touch(connection, 6 - good)
                self.recorded |= ids
            except psycopg.OperationalError:
                self.maybe |= ids  # the primary restarts

    def _touch(self, connection: psycopg.Connection[Any], many: int) -> None:
        chosen = sorted(self._chance.sample(self._site.ids, many))  # one order: no deadlock
        connection.execute(
            "UPDATE accounts_user SET last_name = last_name || '' , date_joined = now()"
            " WHERE id IN (SELECT id FROM accounts_user WHERE id = ANY(%s::uuid[])"
            " ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)",
            [chosen],
        )


@contextmanager
def in_use(site: WholeSite, *, seed: int) -> Iterator[None]:
    """Have the site used in this block; afterwards both stores hold what was answered, once."""
    people = [Person(site, *each, seed=seed * 10 + n) for n, each in enumerate(site.sign_up())]
    poisoner = Poisoner(site, seed)
    watcher = Watcher(site)
    try:
        with ExitStack() as stack:
            writers = Writers(site, seed=seed, pause=0.02)
            stack.callback(writers.stop)
            users: list[Person | Poisoner] = [*people, poisoner]
            for user in users:
                user.start()
                stack.callback(user.stop)
            yield
            # A slow machine has them wait until the last fault is over.
            try:
                eventually(lambda: all(person.answers > 10 for person in people))
            except AssertionError:
                raise AssertionError([person.last for person in people]) from None
            eventually(lambda: writers.commits > 20 and watcher.changes > 20)
        _require_dead_letters(site, poisoner)
        site.require_equal()
    finally:
        watcher.stop()
    for person in people:
        assert person.faults == []
        _require_what_was_answered(site, person)


def _require_dead_letters(site: WholeSite, poisoner: Poisoner) -> None:
    """Wait until nothing is left; what could not be delivered is all given up, and nothing else."""
    eventually(lambda: site.waiting() == 0)
    dead = {row[0] for row in site.sql("SELECT id FROM outbox_deadletter")}
    assert poisoner.recorded <= dead <= poisoner.recorded | poisoner.maybe
    site.sql("DELETE FROM outbox_deadletter")


def _require_what_was_answered(site: WholeSite, person: Person) -> None:
    rows = site.sql(
        "SELECT id::text, title, points, completed_at IS NOT NULL FROM tracker_todo"
        " WHERE user_id = %s",
        [person.user_id],
    )
    assert {key: tuple(rest) for key, *rest in rows} == person.todos
    with pymongo.MongoClient(site.mongo_url) as client:
        shown = client.get_default_database()["users"].find_one({"_id": person.user_id})
    assert shown["total_points"] == person.points


def start_again(site: WholeSite, name: str) -> subprocess.Popen[bytes]:
    """Start web, worker or beat."""
    made: subprocess.Popen[bytes] = {
        "web": site.start,
        "worker": site.worker,
        "beat": site.beat,
    }[name]()
    return made
