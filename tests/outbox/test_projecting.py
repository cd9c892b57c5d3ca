"""A projection's collection becomes what the rows are; what cannot be stored holds nobody up."""

from __future__ import annotations

import pytest
from django.db import connection
from django.utils import timezone

from databases.stores import mongo
from outbox import registry, upkeep
from outbox.checks import check_way_around_the_pooler
from outbox.delivery import drain_once, projecting, settling
from outbox.delivery.outcome import Claimed
from outbox.delivery.session import DirectConnectionNeeded, Session
from outbox.delivery.state import begin_new_epoch
from outbox.events import ID_BITS
from outbox.models import DeadLetter, DeliveredEvent, DeliveryState, OutboxEvent
from tests.outbox.notes import dead, delete, document, make_due, shown, waiting, write

pytestmark = pytest.mark.django_db(transaction=True)

TOO_LARGE = "x" * (16 * 1024 * 1024 + 1)


@pytest.fixture
def alerts(monkeypatch):
    """Collect what operators would be told, as (kind, recovered)."""
    told: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        settling,
        "raise_alert",
        lambda **alert: told.append((alert["store"], alert["recovered"])),
    )
    return told


def test_a_row_appears_changes_and_goes(notes) -> None:
    write("1", "a")
    assert drain_once().events == 1
    assert shown() == {"1": "a"}

    write("1", "b")
    drain_once()
    assert shown() == {"1": "b"}

    delete("1")
    drain_once()
    assert shown() == {}
    assert document("1").keys() == {"_id", "_v", "_deleted_at"}
    assert waiting() == []


def test_many_events_of_a_row_are_one_write_of_its_newest_state(notes) -> None:
    loads = notes.loads()
    for number in range(20):
        write("1", str(number))
    last = OutboxEvent.objects.latest("id").pk

    assert drain_once().events == 20
    assert loads == ["1"]
    assert document("1") == {"_id": "1", "text": "19", "_v": 1 << ID_BITS | last, "_live": True}


def test_more_than_one_batch_is_delivered(notes, settings) -> None:
    settings.OUTBOX_BATCH_SIZE = 10
    for number in range(64):
        write(str(number), "a")

    delivered = drain_once()

    assert (delivered.events, waiting()) == (64, [])
    assert delivered.batches >= 7
    assert len(shown()) == 64


def test_extensions_add_to_the_documents(notes) -> None:
    registry.extend("notes", "length", lambda ids: {key: {"length": len(key)} for key in ids})
    write("1234", "a")
    drain_once()
    assert (document("1234")["length"], document("1234")["text"]) == (4, "a")


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize(
    "poison",
    [
        {"text": TOO_LARGE},
        {"text": object()},
        {"text": 1 << 70},
        {"_id": "another"},
        pytest.param({"a\0b": 1}, id="a key with NUL"),
    ],
    ids=lambda poison: type(next(iter(poison.values()))).__name__ + "-" + next(iter(poison)),
)
def test_a_document_that_cannot_be_stored_holds_nobody_up(notes, poison, place) -> None:
    notes.spoil = lambda key, found: poison if key == str(place) else found
    for number in range(5):
        write(str(number), "a")

    delivered = drain_once()

    assert (delivered.events, delivered.failed) == (4, 1)
    assert shown() == {str(number): "a" for number in range(5) if number != place}
    event = OutboxEvent.objects.get()
    assert (event.aggregate_id, event.attempts) == (str(place), 1)
    assert event.error.startswith("notes: ")


@pytest.mark.parametrize("place", range(5))
def test_a_row_that_cannot_be_loaded_holds_nobody_up(notes, place) -> None:
    def spoil(key, found):
        if key == str(place):
            raise ValueError("secret@example.com")
        return found

    notes.spoil = spoil
    for number in range(5):
        write(str(number), "a")

    drain_once()

    assert waiting() == [str(place)]
    assert len(shown()) == 4
    assert OutboxEvent.objects.get().error == "notes: ValueError in test_projecting.spoil"


def test_a_failed_event_waits_longer_each_time_and_then_becomes_a_dead_letter(
    notes, settings, alerts
) -> None:
    settings.OUTBOX_MAX_ATTEMPTS = 3
    notes.spoil = lambda key, found: {"text": object()} if key == "bad" else found
    write("bad", "a")
    for attempts in (1, 2):
        drain_once()
        assert OutboxEvent.objects.get().attempts == attempts
        assert OutboxEvent.objects.get().next_at is not None
        assert drain_once().events == 0  # its time has not come
        make_due()

    assert drain_once().dead == 1
    letter = DeadLetter.objects.get()
    assert (letter.aggregate_id, letter.attempts, waiting()) == ("bad", 3, [])
    assert letter.kind == "notes: InvalidDocument"
    assert alerts == [("mongodb: notes: InvalidDocument", False)]


def test_operators_are_told_once_per_kind_and_when_the_last_one_is_gone(
    notes, settings, alerts
) -> None:
    settings.OUTBOX_MAX_ATTEMPTS = 1
    notes.spoil = lambda _key, _found: {"text": object()}
    for key in ("1", "2"):
        write(key, "a")
        drain_once()
    assert dead() == ["1", "2"]
    assert alerts == [("mongodb: notes: InvalidDocument", False)]

    notes.spoil = lambda _key, found: found
    write("1", "b")
    drain_once()
    assert alerts[1:] == []
    write("2", "b")
    drain_once()
    assert alerts[1:] == [("mongodb: notes: InvalidDocument", True)]


def test_a_later_event_resolves_the_failed_one_and_its_dead_letter(notes, settings) -> None:
    settings.OUTBOX_MAX_ATTEMPTS = 2
    notes.spoil = lambda _key, _found: {"text": object()}
    write("retried", "a")
    write("dead", "a")
    drain_once()
    OutboxEvent.objects.filter(aggregate_id="dead").update(next_at="2020-01-01T00:00:00Z")
    drain_once()
    assert (waiting(), dead()) == (["retried"], ["dead"])

    notes.spoil = lambda _key, found: found
    write("retried", "b")
    write("dead", "b")
    drain_once()

    assert shown() == {"retried": "b", "dead": "b"}
    assert (waiting(), dead()) == ([], [])


def test_a_row_that_keeps_changing_and_failing_is_given_up_all_the_same(notes, settings) -> None:
    settings.OUTBOX_MAX_ATTEMPTS = 3
    notes.spoil = lambda _key, _found: {"text": object()}
    for number in range(3):
        write("1", str(number))
        drain_once()

    assert (waiting(), dead()) == ([], ["1"])


def test_an_event_that_nobody_shows_is_kept(notes) -> None:
    write("1", "a")
    OutboxEvent.objects.update(aggregate_type="of_the_next_release")

    drain_once()

    assert OutboxEvent.objects.get().error == "no projection shows events of this type"


def test_pausing_stops_delivery_and_not_the_site(notes) -> None:
    write("1", "a")
    upkeep.pause(by="somebody", reason="", at=timezone.now())
    assert drain_once().reason == "paused"
    write("2", "a")
    assert (waiting(), shown()) == (["1", "2"], {})

    upkeep.resume()
    drain_once()
    assert shown() == {"1": "a", "2": "a"}


def test_delivery_lives_without_its_state_row(notes) -> None:
    DeliveryState.objects.all().delete()
    write("1", "a")
    assert drain_once().events == 1
    assert document("1")["_v"] >> ID_BITS == 1


def test_one_that_was_stopped_with_an_old_state_in_hand_changes_nothing_when_it_goes_on(
    notes,
) -> None:
    write("1", "old")
    write("2", "old")
    events = [
        Claimed(one.shard, one.id, "note", one.aggregate_id, one.type, 0, 0.0)
        for one in OutboxEvent.objects.all()
    ]
    in_hand = projecting.prepare(events, epoch=1)
    write("1", "new")
    delete("2")
    drain_once()

    assert projecting.write(in_hand).failed == []
    assert shown() == {"1": "new"}


def set_ids_back() -> None:
    connection.cursor().execute("ALTER SEQUENCE outbox_outboxevent_id_seq RESTART WITH 1")


def test_after_a_promotion_new_events_are_newer_though_their_ids_are_lower(notes) -> None:
    for number in range(3):
        write("1", str(number))
    drain_once()
    set_ids_back()
    DeliveryState.objects.update(server="7000000000000000000:00000001")

    write("1", "after")
    drain_once()

    assert shown() == {"1": "after"}
    assert document("1")["_v"] >> ID_BITS == 2
    drain_once()
    assert DeliveryState.objects.get().epoch == 2


def test_a_new_epoch_is_above_all_that_mongodb_holds(notes) -> None:
    write("1", "a")
    DeliveryState.objects.update_or_create(id=1, defaults={"epoch": 7})
    drain_once()
    set_ids_back()
    DeliveryState.objects.update(epoch=3)  # a backup that is older than the last restore

    assert begin_new_epoch() == 8
    write("1", "b")
    drain_once()
    assert shown() == {"1": "b"}


def test_history_keeps_what_was_delivered_until_it_is_pruned(notes, settings) -> None:
    settings.OUTBOX_HISTORY = True
    write("1", "a")
    drain_once()

    kept = DeliveredEvent.objects.get()
    assert (kept.aggregate_id, kept.event_type, waiting()) == ("1", "note.written", [])
    assert upkeep.prune().delivered == 0
    DeliveredEvent.objects.update(delivered_at="2020-01-01T00:00:00Z")
    assert upkeep.prune().delivered == 1


def test_indexes_hold_live_documents_only_and_tombstones_end(notes, settings) -> None:
    registry.subscribe(
        registry.Projection(
            name="notes",
            aggregate_type="note",
            load=notes.load,
            page=notes.page,
            indexes=[mongo.Index(collection="notes", keys=[("text", 1)], unique=True)],
        )
    )
    mongo.ensure_indexes()
    mongo.ensure_indexes()
    with mongo.database() as database:
        found = database["notes"].index_information()
    assert found["text_1"]["partialFilterExpression"] == {"_live": True}
    assert found["_deleted_at_1"]["expireAfterSeconds"] == settings.OUTBOX_RETENTION_DAYS * 86_400

    write("1", "same")
    write("2", "same")
    drain_once()
    assert OutboxEvent.objects.get().error == "notes: WriteError 11000"
    with mongo.database() as database:
        database.drop_collection("notes")


def test_a_session_around_a_pooler_is_needed(monkeypatch) -> None:
    assert check_way_around_the_pooler() == []
    monkeypatch.setitem(connection.settings_dict["POLYSTORE"], "pooler", True)
    monkeypatch.delitem(connection.settings_dict["POLYSTORE"], "direct", raising=False)

    with pytest.raises(DirectConnectionNeeded):
        Session()
    assert [found.id for found in check_way_around_the_pooler()] == ["outbox.W001"]
