"""Notes of the tests: rows of a table of their own, shown by a projection, told to a consumer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.db import connection, transaction

from databases.stores import mongo, versioned
from databases.stores.mongo import Document
from outbox.events import Event
from outbox.models import DeadLetter, OutboxEvent
from outbox.recording import record_event
from outbox.registry import Consumer, Projection

Spoil = Callable[[str, Document], Document]


class Notes:
    """What tests do with notes. `spoil` makes documents that cannot be loaded or stored."""

    def __init__(self) -> None:
        """Spoil nothing."""
        self.spoil: Spoil = lambda _key, document: document

    def loads(self) -> list[str]:
        """Return a list that grows by each id that is loaded from now on."""
        ids: list[str] = []

        def note(key: str, found: Document) -> Document:
            ids.append(key)
            return found

        self.spoil = note
        return ids

    def projection(self) -> Projection:
        """Return what shows notes in the collection `notes`."""
        return Projection(name="notes", aggregate_type="note", load=self.load, page=self.page)

    def load(self, ids: Sequence[str]) -> dict[str, Document]:
        """Return the documents of these notes."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, text FROM tests_note WHERE id = ANY(%s)", [list(ids)])
            return {key: self.spoil(key, {"text": text}) for key, text in cursor.fetchall()}

    def page(self, after: str | None, limit: int) -> list[str]:
        """Return the next ids of all notes."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM tests_note WHERE id > %s ORDER BY id LIMIT %s", [after or "", limit]
            )
            return [row[0] for row in cursor.fetchall()]


class Listener:
    """A consumer that remembers what it was told; `refuses` says which events are bad."""

    def __init__(self) -> None:
        """Refuse nothing."""
        self.told: list[Event] = []
        self.calls = 0
        self.refuses: Callable[[Event], bool] = lambda _: False
        self.failure: Exception | None = None

    def consumer(self) -> Consumer:
        """Return the subscriber."""
        return Consumer(
            name="listener",
            app_label="analytics",
            aggregate_types=frozenset({"note"}),
            handle=self.handle,
        )

    def handle(self, events: Sequence[Event]) -> None:
        """Take all of them, or none."""
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        if any(map(self.refuses, events)):
            raise ValueError("a value that nobody may read in a log: secret@example.com")
        self.told.extend(events)


def write(key: str, text: str) -> None:
    """Write a note and its event."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO tests_note VALUES (%s, %s)"
                " ON CONFLICT (id) DO UPDATE SET text = excluded.text",
                [key, text],
            )
        record_event(aggregate_type="note", aggregate_id=key, event_type="note.written")


def delete(key: str) -> None:
    """Delete a note and record that."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM tests_note WHERE id = %s", [key])
        record_event(aggregate_type="note", aggregate_id=key, event_type="note.deleted")


def shown() -> dict[str, str]:
    """Return what MongoDB shows: id to text."""
    with mongo.database() as database:
        return {
            found["_id"]: found["text"] for found in database["notes"].find(versioned.ONLY_LIVE)
        }


def document(key: str) -> Document | None:
    """Return a note's document or tombstone."""
    with mongo.database() as database:
        return database["notes"].find_one({"_id": key})


def waiting() -> list[str]:
    """Return the aggregate ids of the events that wait, in order."""
    return list(OutboxEvent.objects.order_by("id").values_list("aggregate_id", flat=True))


def dead() -> list[str]:
    """Return the aggregate ids of the dead letters, in order."""
    return list(DeadLetter.objects.order_by("id").values_list("aggregate_id", flat=True))


def make_due() -> None:
    """Let the time of every retry have come."""
    OutboxEvent.objects.filter(attempts__gt=0).update(next_at="2020-01-01T00:00:00Z")
