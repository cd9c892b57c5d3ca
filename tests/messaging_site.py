"""A site on which people talk in processes of their own, and what must hold whatever fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pymongo
from pymongo.errors import PyMongoError

from devservers.sets import ServerSet
from tests.running_site import ROOT, Site
from tests.waiting import eventually

DATABASE = "messaging_site"
PEOPLE = 3
_SET_UP = f"""
import json
from accounts.models import User
from messaging.services.rooms import open_conversation
from common.ids import uuid7
people = [User.objects.create_user(f"{{uuid7()}}@example.com", None) for _ in range({PEOPLE})]
ids = [person.pk for person in people]
room, _ = open_conversation(user_id=ids[0], user_ids=ids[1:], title="Everybody")
print("made", json.dumps([str(room), *map(str, ids)]))
"""


class MessagingSite(Site):
    """Worker and beat, on stores that no other test of the session looks into."""

    def __init__(self, servers: ServerSet) -> None:
        """Take the servers; a database of MongoDB's and a number of Redis's of its own."""
        environment = servers.environment()
        self.mongo_url = _in_database(environment["MONGO_URL"], DATABASE)
        super().__init__(
            environment
            | {
                "MONGO_URL": self.mongo_url,
                "REDIS_URL": _in_database(environment["REDIS_URL"], "8"),
                "LOG_LEVEL": "ERROR",
            }
        )
        self.servers = servers
        self.primary = environment["DATABASE_URL"]
        self.room = ""
        self.people: list[str] = []
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def set_up(self) -> None:
        """Make people and their conversation, and start worker and beat."""
        self.manage("migrate_all")
        self.forget()
        self.manage("ensure_mongo_indexes")
        self.processes = {"worker": self.worker(), "beat": self.beat()}
        self.talk_anew()

    @contextmanager
    def serving(self) -> Iterator[Self]:
        """Set it up, and leave nothing of it behind."""
        try:
            self.set_up()
            yield self
        finally:
            self.stop()
            self.forget()

    def talk_anew(self) -> None:
        """Have new people in a new conversation, which MongoDB knows of."""
        said = self.manage("shell", "-c", _SET_UP).stdout
        made = next(line for line in said.splitlines() if line.startswith("made "))
        self.room, *self.people = json.loads(made.removeprefix("made "))
        eventually(self._is_known)

    def worker(self) -> subprocess.Popen[bytes]:
        """Start a Celery worker."""
        return self.spawn("celery", "-A", "config", "worker", "--concurrency=4", "--loglevel=error")

    def beat(self) -> subprocess.Popen[bytes]:
        """Start beat."""
        return self.spawn("celery", "-A", "config", "beat", "--loglevel=error", "--pidfile=")

    def sql(self, statement: str, parameters: Any = None) -> list[Any]:
        """Run a statement in the primary."""
        with psycopg.connect(self.primary, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def behind(self) -> dict[str, tuple[str, str, bool]]:
        """Return what PostgreSQL has of the room: id to (rank, content, waits for MongoDB)."""
        rows = self.sql(
            "SELECT id::text, rank, content, mongo_pending FROM messaging_directmessage"
            " WHERE conversation_id = %s",
            [self.room],
        )
        return {key: (rank, content, waits) for key, rank, content, waits in rows}

    def front(self) -> dict[str, tuple[str, str, bool]]:
        """Return what MongoDB has of the room: id to (rank, content, waits for PostgreSQL)."""
        import uuid

        with pymongo.MongoClient(self.mongo_url, uuidRepresentation="standard") as client:
            found = client.get_default_database()["direct_messages"].find(
                {"conversation_id": uuid.UUID(self.room)}
            )
            return {
                str(row["_id"]): (row["rank"], row["content"], row.get("pending", False))
                for row in found
            }

    def is_level(self) -> bool:
        """Tell whether nothing waits between the stores; False while one does not answer."""
        try:
            behind, front = self.behind(), self.front()
        except (psycopg.Error, PyMongoError):
            return False
        return behind == front and not any(one[2] for one in front.values())

    def forget(self) -> None:
        """Leave nothing behind."""
        self.sql("DELETE FROM messaging_directmessage")
        self.sql("DELETE FROM outbox_outboxevent")
        with pymongo.MongoClient(self.mongo_url) as client:
            client.drop_database(client.get_default_database())

    def _is_known(self) -> bool:
        with pymongo.MongoClient(self.mongo_url) as client:
            database = client.get_default_database()
            known = database["conversations"].find_one({"_id": self.room, "_live": True})
            noted = database["messaging_state"].find_one({"_id": "membership"})
            return known is not None and noted is not None


class Chatter:
    """A process in which people talk, and what it said."""

    def __init__(self, site: MessagingSite, seed: int) -> None:
        """Start it and wait until it talks."""
        self.said: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.messaging_chatter"),
                *(str(seed), site.room, *site.people),
            ],
            cwd=ROOT,
            env=site.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        eventually(lambda: self.said["started"])

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith(b"}\n"):
                what = json.loads(line)
                self.said[what["kind"]].append(what)

    def hush(self) -> None:
        """Return when its writers have stopped; who follows and looks goes on."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"hush\n")
        self._process.stdin.flush()
        # What one of them was just about to write would be told of after both stores were read.
        writers = self.said["started"][0]["writers"]
        eventually(lambda: len(self.said["ended"]) >= writers)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        self._reader.join(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def ids(self, kind: str) -> list[str]:
        """Return the ids of what it said of this kind."""
        return [what["id"] for what in list(self.said[kind])]

    def followed(self) -> set[str]:
        """Return what its follower has seen."""
        return {key for what in list(self.said["followed"]) for key in what["ids"]}

    def judge_what_was_shown(self) -> None:
        """Fail where a message vanished, came twice, or two swapped places."""
        before: list[str] = []
        for look in self.said["looked"]:
            page = look["ids"]
            assert page == sorted(set(page), reverse=True), "out of order, or twice"
            if page:
                gone = [key for key in before if key >= page[-1] and key not in set(page)]
                assert gone == [], "a message that was shown has vanished"
            before = page
        back: set[str] = set()
        for page in self.said["followed"]:
            undeleted = back & (set(page["ids"]) - set(page["deleted"]))
            assert not undeleted, "a deleted message came back"
            back |= set(page["deleted"])


def judge(site: MessagingSite, chatters: list[Chatter]) -> None:
    """Fail unless both stores agree, and each acknowledged message is there once."""
    last = chatters[-1]
    eventually(lambda: len(last.ids("posted")) > 20, seconds=90)  # what failed serves again
    last.hush()
    eventually(site.is_level)
    stored = {key: (rank, content) for key, (rank, content, _) in site.front().items()}
    for chatter in chatters:
        assert [one["error"] for one in chatter.said["broke"]] == []
        posted = chatter.ids("posted")
        assert len(posted) == len(set(posted))
        lost = set(posted) - stored.keys()
        assert lost == set(), "an acknowledged message is lost"
        for key in chatter.ids("deleted"):
            assert stored[key][0].startswith("1"), "a deleted message is back"
    texts = [content for rank, content in stored.values() if rank.startswith("0")]
    assert len(texts) == len(set(texts)), "a message is there twice"
    everything = {key for chatter in chatters for key in chatter.ids("posted")}
    eventually(lambda: everything <= last.followed())
    for chatter in chatters:
        chatter.kill()
        chatter.judge_what_was_shown()


def _in_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
