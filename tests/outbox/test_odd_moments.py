"""What happens between two looks of a drainer: pauses, restores, retries, letters put back."""

from __future__ import annotations

import pytest
from django.db import connection
from django.utils import timezone

from databases.breaker import AliasUnavailable
from outbox import upkeep
from outbox.delivery import drain_once, drainer
from outbox.delivery.claims import Claims
from outbox.delivery.drainer import Drainer
from outbox.delivery.session import Session
from outbox.events import MONGODB, SHARDS, shard_of
from outbox.models import DeadLetter, OutboxEvent
from tests.outbox.notes import dead, make_due, shown, waiting, write
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


# Pauses -----------------------------------------------------------------------------------------


def test_a_pause_that_comes_before_a_look_moves_no_floor(notes) -> None:
    """What waits below the floor would be told after what came later."""
    session = Session()
    scans = Claims(session, MONGODB, batch=10)
    shards = list(range(SHARDS))
    write("1", "a")
    last = OutboxEvent.objects.get().pk
    eventually(lambda: bool(scans.new(shards).events) and scans._floor.value >= last)

    upkeep.pause(by="somebody", reason="", at=timezone.now())
    claim = scans.new(shards)
    assert claim.events == []
    scans.settled(claim)
    upkeep.resume()

    assert [one.id for one in scans.new(shards).events] == [last]
    session.close()


# Restores ---------------------------------------------------------------------------------------


def restored(elsewhere, *, next_id: int) -> None:
    """Do to the queue what a restore does, in one transaction."""
    elsewhere.execute("DELETE FROM outbox_outboxevent")
    elsewhere.execute("SELECT setval('outbox_outboxevent_id_seq', %s, false)", (next_id,))
    elsewhere.execute(
        "INSERT INTO outbox_deliverystate AS s (id, epoch, server, paused_by, reason)"
        " VALUES (1, 2, '', '', '') ON CONFLICT (id) DO UPDATE SET epoch = s.epoch + 1"
    )
    elsewhere.commit()


def test_who_has_a_batch_in_hand_when_a_restore_comes_deletes_no_event_of_the_same_id(
    notes, elsewhere
) -> None:
    other = neighbour_of("1")
    write("1", "a")
    taken = OutboxEvent.objects.get().pk

    def restore_then(_key, found):
        notes.spoil = lambda _key, found: found
        restored(elsewhere, next_id=taken)
        write(other, "after the restore")
        assert OutboxEvent.objects.get().pk == taken
        return found

    notes.spoil = restore_then
    drain_once()

    drain_once()
    assert shown()[other] == "after the restore"


def test_events_after_a_restore_are_newer_also_for_who_looked_just_before_it(
    notes, elsewhere, drainer_of_all, monkeypatch
) -> None:
    write("1", "a")
    drainer_of_all._step()
    write("1", "b")
    first = OutboxEvent.objects.get().pk - 1
    drainer_of_all._step()
    assert shown() == {"1": "b"}
    monkeypatch.setattr(drainer, "LOOK_EVERY", 3_600.0)

    restored(elsewhere, next_id=first)
    write("1", "c")
    eventually(lambda: bool(drainer_of_all._step()) and waiting() == [])

    assert shown() == {"1": "c"}


# Retries ----------------------------------------------------------------------------------------


def test_a_row_that_fails_again_in_the_same_batch_twice_is_given_up_all_the_same(
    notes, settings
) -> None:
    settings.OUTBOX_MAX_ATTEMPTS = 3
    notes.spoil = lambda _key, _found: {"text": object()}
    for number in range(3):
        write("1", str(number))
        write("1", f"{number} again")
        drain_once()

    assert (waiting(), dead()) == ([], ["1"])


def test_a_retry_between_two_batches_does_not_let_a_document_go_back(
    notes, settings, drainer_of_all, monkeypatch
) -> None:
    settings.OUTBOX_BATCH_SIZE = 1
    drainer_of_all._claims._batch = 1
    other = neighbour_of("1")
    notes.spoil = lambda _key, _found: {"text": object()}
    write("1", "first")
    drainer_of_all._step()
    notes.spoil = lambda _key, found: found
    write(other, "a")
    write("1", "second")
    drainer_of_all._step()  # the next batch is read while this one is written
    assert shown() == {other: "a"}

    write("1", "third")
    make_due()
    monkeypatch.setattr(drainer, "LOOK_EVERY", 0.0)
    drainer_of_all._step()

    assert shown()["1"] == "third"


def test_a_locked_table_costs_no_attempt(notes, elsewhere) -> None:
    write("1", "a")
    elsewhere.execute("LOCK TABLE tests_note")
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '50ms'")
    with pytest.raises(AliasUnavailable):
        drain_once()
    elsewhere.rollback()
    connection.close()

    assert OutboxEvent.objects.get().attempts == 0
    drain_once()
    assert shown() == {"1": "a"}
