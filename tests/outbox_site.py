"""People who change on a running site, and somebody who watches how MongoDB shows them.

Each change writes a higher number into the user's row, under its lock. So a document that ever
shows a lower number, or a lower version, went backwards.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pymongo
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from devservers.sets import ServerSet
from outbox.delivery.session import NAME
from outbox.delivery.shards import HERE, key_of
from outbox.events import MONGODB
from tests.running_site import Site
from tests.waiting import eventually

PEOPLE = 40
_NUMBER = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_INSERT = """
INSERT INTO accounts_user
    (id, email, password, is_superuser, first_name, last_name, is_active, is_staff)
VALUES (%(id)s, %(email)s, '', false, '0', '', true, false)
ON CONFLICT DO NOTHING
"""
_CHANGE = f"""
UPDATE accounts_user SET first_name = greatest(first_name::bigint + 1, {_NUMBER})::text
WHERE id = %(id)s
"""
_DELETE = "DELETE FROM accounts_user WHERE id = %(id)s"


class OutboxSite(Site):
    """A site without web processes, on stores that no other test of the session looks into."""

    def __init__(self, servers: ServerSet) -> None:
        """Take the servers; a database of MongoDB's and a number of Redis's of its own."""
        environment = servers.environment()
        self.mongo_url = _in_database(environment["MONGO_URL"], "outbox_site")
        super().__init__(
            environment
            | {
                "MONGO_URL": self.mongo_url,
                "REDIS_URL": _in_database(environment["REDIS_URL"], "7"),
            }
        )
        self.servers = servers
        self.primary = environment["DATABASE_URL"]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        """Worker and beat, where a test has them."""
        self.ids = [str(uuid.uuid4()) for _ in range(PEOPLE)]

    def drainer(self) -> subprocess.Popen[bytes]:
        """Start a process that delivers, without Celery."""
        return self.spawn("manage", "outbox", "drain", "--follow")

    def worker(self) -> subprocess.Popen[bytes]:
        """Start a Celery worker."""
        return self.spawn(
            *("celery", "-A", "config", "worker", "--concurrency=2", "--loglevel=error"),
        )

    def beat(self) -> subprocess.Popen[bytes]:
        """Start beat."""
        return self.spawn("celery", "-A", "config", "beat", "--loglevel=error", "--pidfile=")

    def sql(self, statement: str, parameters: Any = None) -> list[Any]:
        """Run a statement in the primary."""
        with psycopg.connect(self.primary, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def drainers(self) -> int:
        """Return how many are at work for MongoDB."""
        found = self.sql(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"
            " AND classid = %s::bigint::oid AND granted",
            [HERE, key_of(MONGODB)],
        )
        return int(found[0][0])

    def cut(self, process: subprocess.Popen[bytes]) -> None:
        """End the sessions by which a process owns its shards."""
        self.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            [f"{NAME}:{process.pid}"],
        )

    def waiting(self) -> int:
        """Return how many events wait."""
        return int(self.sql("SELECT count(*) FROM outbox_outboxevent")[0][0])

    def people(self) -> dict[str, str]:
        """Return what the primary holds: id to number."""
        rows = self.sql("SELECT id::text, first_name FROM accounts_user WHERE id = ANY(%s::uuid[])",
                        [self.ids])  # fmt: skip
        return dict(rows)

    def shown(self) -> dict[str, str]:
        """Return what MongoDB shows: id to number."""
        with pymongo.MongoClient(self.mongo_url) as client:
            found = client.get_default_database()["users"].find(
                {"_live": True, "_id": {"$in": self.ids}}
            )
            return {each["_id"]: each["first_name"] for each in found}

    def becomes_equal(self, *, seconds: float = 60.0) -> None:
        """Wait until nothing is left to deliver, and find both stores equal."""
        eventually(lambda: self.waiting() == 0, seconds=seconds)
        assert self.shown() == self.people()
        assert self.sql("SELECT kind FROM outbox_deadletter") == []

    def forget(self) -> None:
        """Leave nothing behind."""
        self.sql("DELETE FROM accounts_user WHERE id = ANY(%s::uuid[])", [self.ids])
        self.sql("DELETE FROM outbox_outboxevent")
        self.sql("DELETE FROM outbox_deadletter")
        with pymongo.MongoClient(self.mongo_url) as client:
            client.drop_database(client.get_default_database())


class Writers:
    """Threads that change people; some hold their transaction, and so an event, for long."""

    def __init__(self, site: OutboxSite, *, many: int = 4, seed: int = 0, pause: float = 0.01):
        """Start them."""
        self.commits = 0
        self._site = site
        self._pause = pause
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(random.Random(seed * 100 + number),))
            for number in range(many)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End them."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _work(self, chance: random.Random) -> None:
        while not self._over.is_set():
            try:
                with psycopg.connect(self._site.primary, connect_timeout=2) as connection:
                    while not self._over.wait(chance.uniform(0, 2 * self._pause)):
                        self._change(connection, chance)
            except psycopg.OperationalError:
                self._over.wait(0.05)  # the primary restarts

    def _change(self, connection: psycopg.Connection[Any], chance: random.Random) -> None:
        key = chance.choice(self._site.ids)
        person = {"id": key, "email": f"{key}@example.com"}
        with connection.transaction():
            if chance.random() < 0.15:
                connection.execute(_DELETE, person)
            else:
                connection.execute(_INSERT, person)
                connection.execute(_CHANGE, person)
            if chance.random() < 0.01:
                self._over.wait(chance.uniform(0.5, 2.0))
        self.commits += 1


class Watcher:
    """A thread that reads what a majority has, all the time; `stop` fails if it went backwards."""

    def __init__(self, site: OutboxSite) -> None:
        """Start it."""
        self.looks = 0
        self.changes = 0
        self._url = site.mongo_url
        self._ids = site.ids
        self._backwards: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def stop(self) -> None:
        """End it and judge."""
        self._over.set()
        self._thread.join()
        assert self._backwards == []
        assert self.looks > 10

    def _work(self) -> None:
        seen: dict[str, tuple[int, str | None]] = {}
        with pymongo.MongoClient(self._url, serverSelectionTimeoutMS=300) as client:
            users = client.get_default_database().get_collection(
                "users", read_concern=ReadConcern("majority")
            )
            while not self._over.wait(0.003):
                try:
                    with pymongo.timeout(1.0):
                        found = list(users.find({"_id": {"$in": self._ids}}))
                except PyMongoError:
                    continue
                self.looks += 1
                for document in found:
                    self._compare(seen, document)

    def _compare(self, seen: dict[str, tuple[int, str | None]], document: dict[str, Any]) -> None:
        key, version, number = document["_id"], document["_v"], document.get("first_name")
        before, number_before = seen.get(key, (-1, None))
        if version < before:
            self._backwards.append(f"{key}: version {before} became {version}")
        if version == before and number != number_before:
            self._backwards.append(f"{key}: {number_before} became {number} in one version")
        if number and number_before and int(number) < int(number_before):
            self._backwards.append(f"{key}: {number_before} became {number}")
        self.changes += version != before
        seen[key] = (version, number)


@contextmanager
def busy(site: OutboxSite, *, seed: int = 0, pause: float = 0.01) -> Iterator[Writers]:
    """Change people in this block, watch, and find both stores equal at its end."""
    watcher = Watcher(site)
    try:
        writers = Writers(site, seed=seed, pause=pause)
        try:
            yield writers
        finally:
            writers.stop()
        site.becomes_equal()
    finally:
        watcher.stop()
    assert writers.commits > 20
    assert watcher.changes > 20


@contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Keep a process from running in this block."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def pause_between(chance: random.Random, least: float, most: float) -> None:
    """Let some time pass: where a fault strikes is what the test varies."""
    time.sleep(chance.uniform(least, most))


def _in_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
