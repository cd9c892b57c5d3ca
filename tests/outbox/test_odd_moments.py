"""What happens between two looks of a drainer: pauses, restores, retries, letters put back."""

from __future__ import annotations

import pytest

from outbox import upkeep
from outbox.delivery import drain_once
from outbox.delivery.drainer import Drainer
from outbox.delivery.session import Session
from outbox.events import MONGODB, shard_of
from outbox.models import DeadLetter, OutboxEvent
from tests.outbox.notes import dead, shown, waiting, write
from tests.waiting import eventually

INSERT = (
    "INSERT INTO outbox_outboxevent (sink, shard, aggregate_type, aggregate_id, event_type)"
    " VALUES ('mongodb', %s, 'note', %s, 'note.written')"
)


@pytest.fixture
def drainer_of_all():
    """Return a drainer that owns every shard."""
    session = Session()
    made = Drainer(session, MONGODB)
    assert made._shards.join()
    yield made
    made._beside.shutdown()
    session.close()


def neighbour_of(key: str) -> str:
    """Return another id whose events are in the same shard."""
    wanted = shard_of("note", key)
    return next(
        str(n) for n in range(1, 1_000) if str(n) != key and shard_of("note", str(n)) == wanted
    )


# Dead letters that are put back -----------------------------------------------------------------


def test_a_letter_that_is_put_back_hides_no_change_that_commits_later(
    notes, elsewhere, settings
) -> None:
    """Its event is recorded without the row's lock; who has the lock has an older event."""
    settings.OUTBOX_MAX_ATTEMPTS = 1
    notes.spoil = lambda _key, _found: {"text": object()}
    write("1", "a")
    drain_once()
    assert dead() == ["1"]
    notes.spoil = lambda _key, found: found

    elsewhere.execute("UPDATE tests_note SET text = 'b' WHERE id = '1'")
    elsewhere.execute(INSERT, (shard_of("note", "1"), "1"))
    upkeep.replay(upkeep.dead_letters())
    drain_once()
    assert shown() == {"1": "a"}
    elsewhere.commit()
    drain_once()

    assert shown() == {"1": "b"}


def test_a_letter_that_is_put_back_is_what_it_was(listener, settings) -> None:
    """Who keeps events by their moment, the audit trail, must not see another one."""
    settings.OUTBOX_MAX_ATTEMPTS = 1
    listener.refuses = lambda _: True
    write("1", "a")
    OutboxEvent.objects.update(headers={"request_id": "of the writer"})
    drain_once()
    old = DeadLetter.objects.get()
    listener.refuses = lambda _: False

    assert upkeep.replay(upkeep.dead_letters()) == 1
    drain_once()

    event = listener.told[0]
    assert (event.id, event.created_at, event.headers) == (old.pk, old.created_at, old.headers)
    assert (dead(), waiting()) == ([], [])


def test_a_letter_that_is_put_back_is_found_by_whoever_drains_already(
    notes, drainer_of_all, settings, monkeypatch
) -> None:
    """Its id is below the floor of the scans by then."""
    monkeypatch.setattr("outbox.delivery.claims.SWEEP_EVERY", 3_600.0)
    settings.OUTBOX_MAX_ATTEMPTS = 1
    notes.spoil = lambda _key, _found: {"text": object()}
    write("1", "a")
    drainer_of_all._step()
    notes.spoil = lambda _key, found: found
    last = DeadLetter.objects.get().pk

    def has_passed() -> bool:
        drainer_of_all._step()
        return min(drainer_of_all._claims._floors.values(), default=0) >= last

    eventually(has_passed)
    upkeep.replay(upkeep.dead_letters())
    eventually(lambda: bool(drainer_of_all._step()) and shown() == {"1": "a"}, seconds=5.0)
