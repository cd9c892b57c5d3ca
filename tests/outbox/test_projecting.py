"""A projection's collection becomes what the rows are."""

from __future__ import annotations

import pytest
from django.db import transaction

from databases.stores import mongo, versioned
from databases.stores.mongo import Document
from outbox import registry
from outbox.delivery import drain_once
from outbox.models import OutboxEvent
from outbox.recording import record_event
from outbox.registry import Projection, subscribe

pytestmark = pytest.mark.django_db(transaction=True)

ROWS: dict[str, Document] = {}


@pytest.fixture(autouse=True)
def notes(monkeypatch):
    monkeypatch.setattr(registry, "_registry", registry._Registry())
    ROWS.clear()
    subscribe(
        Projection(
            name="notes",
            aggregate_type="note",
            load=lambda ids: {key: ROWS[key] for key in ids if key in ROWS},
            page=lambda _after, _limit: [],
        )
    )
    yield
    with mongo.database() as db:
        db.drop_collection("notes")


def change(key: str, verb: str = "changed") -> None:
    with transaction.atomic():
        record_event(aggregate_type="note", aggregate_id=key, event_type=f"note.{verb}")


def shown() -> list[Document]:
    with mongo.database() as db:
        return list(db.notes.find(versioned.ONLY_LIVE, {"text": 1}))


def test_a_row_appears_changes_and_goes() -> None:
    ROWS["1"] = {"text": "a"}
    change("1")
    assert drain_once().events == 1
    assert shown() == [{"_id": "1", "text": "a"}]

    ROWS["1"] = {"text": "b"}
    change("1")
    drain_once()
    assert shown() == [{"_id": "1", "text": "b"}]

    del ROWS["1"]
    change("1", "deleted")
    drain_once()
    assert shown() == []
    assert not OutboxEvent.objects.exists()
