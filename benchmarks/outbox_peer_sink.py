"""What the peers deliver to: one durable document for each event, the same for all of them.

Runs in processes of `benchmarks.outbox_peer_settings`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from django.db import transaction
from pymongo import MongoClient, WriteConcern
from pymongo.collection import Collection

from benchmarks.outbox_site import PEERS_COLLECTION, Document
from benchmarks.peers import peer

app = peer("django_celery_outbox").OutboxCelery("peers", broker=os.environ.get("REDIS_URL"))
app.conf.update(
    task_ignore_result=True, task_acks_late=True, worker_prefetch_multiplier=64,
    task_default_queue="peers", broker_connection_retry_on_startup=True,
)  # fmt: skip
urlpatterns: list[Any] = []


@cache
def sink() -> Collection[Document]:
    """Return this process's collection, with the write concern that ours has."""
    client: MongoClient[Document] = MongoClient(os.environ["MONGO_URL"])
    return client.get_default_database("polystore").get_collection(
        PEERS_COLLECTION, write_concern=WriteConcern("majority", j=True)
    )


def write_document(document: Document) -> None:
    """Write one document; the same again changes nothing."""
    sink().replace_one({"_id": document["_id"]}, document, upsert=True)


@app.task(name="peers.write")  # type: ignore[untyped-decorator]
def write_in_worker(document: Document) -> None:
    """Write one document, as a task."""
    write_document(document)


class DocumentConnection:
    """In place of a STOMP connection: to send is to write a document."""

    def __init__(self, **_: Any) -> None:
        """Take what a STOMP connection takes."""
        self._is_connected = False

    def connect(self, *_: Any, **__: Any) -> None:
        """Be connected."""
        self._is_connected = True

    def disconnect(self, *_: Any, **__: Any) -> None:
        """Be so no longer."""
        self._is_connected = False

    def is_connected(self) -> bool:
        """Tell whether it is."""
        return self._is_connected

    def set_listener(self, *_: Any) -> None:
        """Nobody listens."""

    def send(self, body: str, **_: Any) -> None:
        """Write a message's document."""
        write_document(json.loads(body))


# Queues -----------------------------------------------------------------------------------------


def documents(count: int) -> Iterator[Document]:
    """Yield documents as large as ours."""
    for number in range(count):
        yield {
            "_id": f"00000000-0000-7000-8000-{number:012}",
            "legal_name": f"Entity {number}",
            "trading_name": "",
            "kind": "llc",
            "country": "US",
            "owner_id": "00000000-0000-7000-8000-000000000000",
            "status": "active",
            "created_at": "2026-01-01T00:00:00.000000+00:00",
            "updated_at": "2026-01-01T00:00:00.000000+00:00",
        }


def fill(name: str, count: str) -> None:
    """Queue `count` events in a peer's own way, in one transaction; for a process of its own."""
    import django

    django.setup()
    write = _ways()[name]
    with transaction.atomic():
        for document in documents(int(count)):
            write(document)


def _ways() -> Mapping[str, Callable[[Document], object]]:
    published = peer("django_outbox_pattern.models").Published

    return {
        "django-celery-outbox": write_in_worker.delay,
        "django-jaiminho": peer("jaiminho.send").save_to_outbox(write_document),
        "django-outbox-pattern": lambda document: published(
            body=document, destination="documents"
        ).save(),
    }
