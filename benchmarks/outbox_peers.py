"""Other outboxes of the Django world, run as their manuals say, into the same MongoDB."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from pymongo import MongoClient
from pymongo.collection import Collection

from benchmarks.common import ROOT
from benchmarks.outbox_drains import rate_of
from benchmarks.outbox_site import PEERS_COLLECTION, Document
from devservers.aliases import PRIMARY
from devservers.sets import ServerSet

DATABASE: Final = "peers"
FILL: Final = "import sys; from benchmarks.outbox_peer_sink import fill; fill(*sys.argv[1:])"
SETTINGS: Final = "benchmarks.outbox_peer_settings"
RELAYS: Final[Mapping[str, Sequence[str]]] = {
    "django-celery-outbox": (
        "django", "celery_outbox_relay", "--batch-size", "500", "--idle-time", "0.05",
    ),
    "django-jaiminho": ("django", "events_relay", "--run-in-loop", "--loop-interval", "0.05"),
    "django-outbox-pattern": ("django", "publish"),
}  # fmt: skip
WORKER: Final = (
    "celery", "-A", "benchmarks.outbox_peer_sink", "worker", "-Q", "peers", "--concurrency=1",
)  # fmt: skip
ALSO: Final[Mapping[str, Sequence[Sequence[str]]]] = {"django-celery-outbox": (WORKER,)}


class Peers:
    """All of them, migrated, in a database of their own on our servers."""

    def __init__(self, servers: ServerSet) -> None:
        """Make the database."""
        servers.sql("default", f"CREATE DATABASE {DATABASE}")
        self._environment = {
            **os.environ,
            "DATABASE_URL": servers.url_of_database(PRIMARY, DATABASE),
            "DJANGO_SETTINGS_MODULE": SETTINGS,
        }
        client: MongoClient[Document] = MongoClient(os.environ["MONGO_URL"])
        self._collection: Collection[Document] = client.get_default_database("polystore")[
            PEERS_COLLECTION
        ]
        self._run("-m", "django", "migrate", "--verbosity", "0")

    def rate_of(self, name: str, count: int) -> float:
        """Queue `count` events and return how many a second `name` brings to MongoDB."""
        self._collection.drop()
        self._run("-c", FILL, name, str(count))
        with ExitStack() as stack:
            for command in ALSO.get(name, ()):
                stack.enter_context(self._running(command))
            return rate_of(
                self._collection, count, lambda: stack.enter_context(self._running(RELAYS[name]))
            )

    def _run(self, *arguments: str) -> None:
        command = [sys.executable, *arguments]
        subprocess.run(command, cwd=ROOT, env=self._environment, check=True)

    @contextmanager
    def _running(self, arguments: Sequence[str]) -> Iterator[None]:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=ROOT, env=self._environment,
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)
