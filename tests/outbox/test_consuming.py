"""A consumer is told of events in order; a bad one is found, a store that is away costs none."""

from __future__ import annotations

import pytest
from django.db.utils import OperationalError

from databases.breaker import AliasUnavailable
from outbox.delivery import drain_once
from outbox.models import DeadLetter, OutboxEvent
from tests.outbox.notes import make_due, waiting, write

pytestmark = pytest.mark.django_db(transaction=True)


def told(listener) -> list[str]:
    """Return the aggregate ids that the consumer was told of."""
    return [event.aggregate_id for event in listener.told]


def test_events_come_in_order_and_once(listener) -> None:
    keys = [str(number) for number in range(50)]
    for key in keys:
        write(key, "a")

    assert drain_once().events == 50
    assert told(listener) == keys
    assert listener.calls == 1
    assert drain_once().events == 0


def test_they_bring_what_was_recorded(listener) -> None:
    write("1", "a")
    drain_once()

    event = listener.told[0]
    assert (event.sink, event.type, event.epoch, event.schema) == (
        "analytics", "note.written", 1, 1,
    )  # fmt: skip
    assert (event.payload, event.headers) == (None, {})
    assert event.created_at.tzinfo is not None


@pytest.mark.parametrize("place", range(7))
def test_a_bad_event_is_found_wherever_it_stands(listener, place) -> None:
    listener.refuses = lambda event: event.aggregate_id == str(place)
    for number in range(7):
        write(str(number), "a")

    delivered = drain_once()

    assert (delivered.events, delivered.failed) == (6, 1)
    assert told(listener) == [str(number) for number in range(7) if number != place]
    event = OutboxEvent.objects.get()
    assert (event.aggregate_id, event.attempts) == (str(place), 1)
    assert event.error == "listener: ValueError in notes.handle"


def test_it_is_told_again_and_then_given_up(listener, settings) -> None:
    settings.OUTBOX_MAX_ATTEMPTS = 2
    listener.refuses = lambda _: True
    write("1", "a")
    drain_once()
    make_due()
    drain_once()

    assert waiting() == []
    assert "secret" not in DeadLetter.objects.get().reason
    assert DeadLetter.objects.get().sink == "analytics"


def test_a_retry_is_told_when_its_time_has_come(listener) -> None:
    listener.refuses = lambda _: True
    write("1", "a")
    drain_once()
    listener.refuses = lambda _: False
    drain_once()
    assert told(listener) == []

    make_due()
    drain_once()
    assert told(listener) == ["1"]
    assert listener.told[0].attempts == 1


@pytest.mark.parametrize(
    "failure", [AliasUnavailable("analytics"), OperationalError("connection lost")], ids=repr
)
def test_a_database_that_is_away_costs_no_attempt(listener, failure) -> None:
    listener.failure = failure
    write("1", "a")

    with pytest.raises(AliasUnavailable):
        drain_once()

    event = OutboxEvent.objects.get()
    assert (event.attempts, event.next_at, listener.calls) == (0, None, 1)
    listener.failure = None
    drain_once()
    assert told(listener) == ["1"]
