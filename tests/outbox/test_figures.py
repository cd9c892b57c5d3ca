"""What Prometheus sees of the queue and of deliveries."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from outbox.delivery import drain_once
from outbox.metrics import QueueCollector
from tests.homes import databases_of
from tests.outbox.notes import write

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("caches"))


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_deliveries_are_counted_by_type_with_their_lag(notes, settings) -> None:
    settings.OUTBOX_MAX_ATTEMPTS = 1
    of_notes = {"sink": "mongodb", "type": "note.written"}
    names = {
        "polystore_outbox_delivered_total": of_notes,
        "polystore_outbox_dead_letters_total": of_notes,
        "polystore_outbox_batches_total": {"sink": "mongodb"},
        "polystore_outbox_lag_seconds_count": {"sink": "mongodb"},
        "polystore_outbox_lag_seconds_sum": {"sink": "mongodb"},
    }
    before = {name: value(name, **labels) for name, labels in names.items()}
    notes.spoil = lambda key, found: {"text": object()} if key == "bad" else found
    for key in ("1", "2", "bad"):
        write(key, "a")
    drain_once()

    grown = {name: value(name, **labels) - before[name] for name, labels in names.items()}
    lag = grown.pop("polystore_outbox_lag_seconds_sum")
    assert list(grown.values()) == [2, 1, 1, 2]
    assert 0 < lag < 5


def test_the_queue_is_asked_at_each_exposition(notes) -> None:
    def gauges() -> dict[str, float]:
        return {
            family.name: sample.value
            for family in QueueCollector().collect()
            for sample in family.samples
            if sample.labels == {"sink": "mongodb"}
        }

    assert gauges() == {
        "polystore_outbox_queue": 0,
        "polystore_outbox_oldest_seconds": 0,
        "polystore_outbox_dead": 0,
    }
    write("1", "a")
    found = gauges()
    assert found["polystore_outbox_queue"] == 1
    assert 0 < found["polystore_outbox_oldest_seconds"] < 5
