"""An event is written in the transaction of its row: both are there afterwards, or neither."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction

from databases.transactions import NoTransaction
from outbox import registry
from outbox.events import shard_of
from outbox.models import OutboxEvent
from outbox.recording import EventRefused, record_event
from outbox.registry import Consumer, NobodySubscribed, subscribe

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def listener(monkeypatch):
    """Subscribe somebody to events of notes."""
    monkeypatch.setattr(registry, "_registry", registry._Registry())
    subscribe(
        Consumer(
            name="listener",
            app_label="analytics",
            aggregate_types=frozenset({"note"}),
            handle=lambda _events: None,
        )
    )


def record(aggregate_id: str = "1", **fields) -> None:
    """Record that a note changed."""
    record_event(
        aggregate_type="note", aggregate_id=aggregate_id, event_type="note.changed", **fields
    )


def recorded() -> list[str]:
    """Return the aggregate ids of the events that wait, in order."""
    return list(OutboxEvent.objects.order_by("id").values_list("aggregate_id", flat=True))


def test_it_commits_with_the_transaction() -> None:
    with transaction.atomic():
        record(payload={"text": "Grüße", "tags": ["a"]})
        assert recorded() == []

    event = OutboxEvent.objects.get()
    assert (event.sink, event.type, event.schema) == ("analytics", "note.changed", 1)
    assert event.shard == shard_of("note", "1")
    assert event.payload == {"text": "Grüße", "tags": ["a"]}
    assert event.headers is None


def test_a_rolled_back_transaction_leaves_no_event() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        record()
        raise RuntimeError

    with transaction.atomic():
        record("2")
    assert recorded() == ["2"]


def test_a_rolled_back_savepoint_takes_its_events_along() -> None:
    with transaction.atomic():
        record("outside")
        with pytest.raises(RuntimeError), transaction.atomic():
            record("inside")
            with transaction.atomic():
                record("deep inside")
            raise RuntimeError
        with transaction.atomic():
            record("beside")

    assert recorded() == ["outside", "beside"]


def test_outside_a_transaction_it_is_refused() -> None:
    with pytest.raises(NoTransaction):
        record()


def test_an_event_that_the_database_refuses_takes_the_row_along(django_user_model) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        django_user_model.objects.create(email="somebody@example.com")
        record("x" * 65)

    assert not django_user_model.objects.exists()
    assert recorded() == []
    with transaction.atomic():
        record("after")
    assert recorded() == ["after"]


def test_many_events_of_one_transaction_keep_their_order() -> None:
    with transaction.atomic():
        for number in range(2_500):
            record(str(number))

    assert recorded() == [str(number) for number in range(2_500)]


def test_what_nobody_is_told_of_is_refused() -> None:
    with pytest.raises(NobodySubscribed), transaction.atomic():
        record_event(aggregate_type="typo", aggregate_id="1", event_type="typo.made")


@pytest.mark.parametrize("payload", [{"a": object()}, {"a": float("nan")}, {"a": "\0"}])
def test_a_payload_that_is_no_storable_json_is_refused(payload) -> None:
    with pytest.raises(EventRefused), transaction.atomic():
        record(payload=payload)


def test_row_and_event_go_to_the_server_with_the_commit_in_one_write(django_user_model) -> None:
    with transaction.atomic():
        connection.cursor().execute("SELECT 1")
        record()
        # Nothing was sent for the event yet: the transaction has no id of its own to write with.
        cursor = connection.cursor()
        cursor.execute("SELECT pg_current_xact_id_if_assigned()")
        assert cursor.fetchone()[0] is None

    assert recorded() == ["1"]
