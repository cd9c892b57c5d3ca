"""A collection is built anew beside the live one: nobody waits, and nothing is lost."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.utils import timezone

from common.ids import uuid7
from databases.breaker import AliasUnavailable
from databases.stores import copies, mongo, versioned
from databases.stores.mongo import Index
from databases.stores.versioned import Write
from outbox import registry, shadows, shapes
from outbox.delivery import drain_once, projecting
from outbox.delivery.outcome import Claimed
from outbox.models import DeadLetter, OutboxEvent, ProjectionState
from outbox.rebuilding import RebuildRefused, abort, building, rebuild, tell_all
from outbox.recording import record_event
from outbox.registry import Projection, subscribe
from outbox.verification import Options, verify

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "rebuilt_notes"
ROWS: dict[str, str] = {}


def load(ids) -> dict[str, dict[str, Any]]:
    return {key: {"text": ROWS[key]} for key in ids if key in ROWS}


def load_new_shape(ids) -> dict[str, dict[str, Any]]:
    return {key: {"words": ROWS[key].split()} for key in ids if key in ROWS}


NOTES = Projection(
    name=NAME,
    aggregate_type="note",
    load=load,
    page=lambda after, limit: sorted(key for key in ROWS if after is None or key > after)[:limit],
    indexes=[Index(collection=NAME, keys=[("words", 1)])],
)
NEW = replace(NOTES, load=load_new_shape, schema=2)


@pytest.fixture(autouse=True)
def notes(monkeypatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_registry", registry._Registry())
    monkeypatch.setattr(mongo, "_indexes", [])
    monkeypatch.setattr(building, "PAGE", 10)
    monkeypatch.setattr(shadows, "FRESH_SECONDS", 0.02)
    monkeypatch.setattr(shadows, "GRACE_SECONDS", 0.1)
    shadows.forget()
    subscribe(NOTES)
    ROWS.clear()
    yield
    for name in copies.names():
        if name.startswith(NAME):
            copies.drop(name)


def change(*keys: str) -> None:
    with transaction.atomic():
        for key in keys:
            record_event(aggregate_type="note", aggregate_id=key, event_type="note.changed")


def shown(count: int = 40) -> list[str]:
    ids = [str(uuid7()) for _ in range(count)]
    ROWS.update({key: f"note {number}" for number, key in enumerate(ids)})
    change(*ids)
    drain_once()
    return ids


def documents() -> dict[str, dict[str, Any]]:
    with mongo.database() as db:
        found = db[NAME].find(versioned.ONLY_LIVE, {"_live": 0, "_v": 0})
        return {document.pop("_id"): document for document in found}


def ours() -> set[str]:
    return {name for name in copies.names() if name.startswith(NAME)}


@contextmanager
def beside(work) -> Iterator[None]:
    """Do `work(stop)` in another thread as long as the block takes; its failure is ours."""
    stop, failures = threading.Event(), []

    def run() -> None:
        try:
            work(stop)
        except BaseException as failure:  # noqa: BLE001 - raised below
            failures.append(failure)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not failures, failures


def deliver(stop: threading.Event) -> None:
    while not stop.is_set():
        drain_once()


def writing(ids: list[str]):
    """Return work that changes one row after the other, as services do."""

    def write(stop: threading.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            key = random.choice(ids)
            with transaction.atomic():
                ROWS[key] = f"changed {number}"
                record_event(aggregate_type="note", aggregate_id=key, event_type="note.changed")

    return write


def seeing(count: int):
    """Return work that looks all the time whether so many documents are there."""

    def look(stop: threading.Event) -> None:
        while not stop.is_set():
            # A read that the swap overtakes is served by PostgreSQL.
            with suppress(AliasUnavailable), mongo.database() as db:
                assert db[NAME].count_documents(versioned.ONLY_LIVE) == count

    return look


class Crash(Exception):
    """The process ends here."""


def crashing(what: str, count: int = 0):
    def step(doing: str, copied: int) -> None:
        if doing == what and copied >= count:
            raise Crash

    return step


class TestARebuild:
    def test_gives_every_document_the_new_shape_and_its_indexes(self) -> None:
        ids = shown()
        subscribe(NEW)

        done = rebuild(NEW)

        assert done.rows == 40
        assert documents() == {key: {"words": ROWS[key].split()} for key in ids}
        assert copies.missing_indexes(NAME, NEW.indexes) == []
        assert ours() == {NAME}
        assert verify(NEW, Options(wait=0)).well

    def test_makes_indexes_first_where_it_shall(self) -> None:
        shown(5)
        subscribe(NEW)

        rebuild(NEW, indexes_first=True)

        assert copies.missing_indexes(NAME, NEW.indexes) == []

    def test_leaves_out_what_has_no_row(self) -> None:
        shown(3)
        versioned.write(NAME, [Write("nobody's", 1, {"text": "x"})], at=timezone.now())

        rebuild(NOTES)

        assert "nobody's" not in documents()

    def test_loses_no_write_and_always_shows_something(self) -> None:
        ids = shown(200)
        subscribe(NEW)

        with beside(deliver), beside(writing(ids)), beside(seeing(len(ids))):
            for _ in range(3):
                rebuild(NEW)
        drain_once()

        assert documents() == {key: {"words": ROWS[key].split()} for key in ids}
        assert not OutboxEvent.objects.exists() and not DeadLetter.objects.exists()
        assert ours() == {NAME}

    def test_shows_what_was_not_yet_committed_when_its_row_was_copied(self) -> None:
        (key,) = shown(1)
        ready, go = threading.Event(), threading.Event()

        def hold(stop: threading.Event) -> None:
            # An event that has its id before the rebuild begins, and commits while it runs.
            with transaction.atomic():
                cursor = connection.cursor()
                cursor.execute(
                    "INSERT INTO outbox_outboxevent"
                    " (sink, shard, aggregate_type, aggregate_id, event_type)"
                    " VALUES ('mongodb', %s, 'note', %s, 'note.changed')",
                    [registry_shard(key), key],
                )
                ready.set()
                go.wait(10)
                ROWS[key] = "committed late"

        with beside(hold):
            assert ready.wait(10)
            timer = threading.Timer(1.5, go.set)
            timer.start()
            rebuild(NOTES)
            timer.join()
        drain_once()

        assert documents() == {key: {"text": "committed late"}}

    def test_is_refused_while_another_one_runs(self) -> None:
        shown(5)

        def rebuild_again(what: str, _count: int) -> None:
            if what == "copy":
                with pytest.raises(RebuildRefused, match="already"):
                    rebuild(NOTES)
                with pytest.raises(RebuildRefused, match="already"):
                    abort(NOTES)

        rebuild(NOTES, step=rebuild_again)

    def test_is_refused_while_a_transaction_stays_open(self) -> None:
        shown(1)
        ready = threading.Event()

        def hold(stop: threading.Event) -> None:
            with transaction.atomic():
                connection.cursor().execute("SELECT pg_current_xact_id()")
                ready.set()
                stop.wait(20)

        with beside(hold):
            assert ready.wait(10)
            with pytest.raises(RebuildRefused, match="open"):
                rebuild(NOTES, patience=0.2)

        assert ours() == {NAME}


class TestACrash:
    @pytest.mark.parametrize("where", ["begin", "copy", "index", "compare", "switch"])
    def test_leaves_the_live_collection_and_can_be_gone_on_with(self, where) -> None:
        ids = shown()
        before = documents()
        subscribe(NEW)
        with pytest.raises(Crash):
            rebuild(NEW, step=crashing(where, 20 if where == "copy" else 0))
        assert documents() == before

        ROWS[ids[3]] = "changed meanwhile"
        change(ids[3])
        shadows.forget()
        drain_once()
        rebuild(NEW)

        assert documents() == {key: {"words": ROWS[key].split()} for key in ids}
        assert ours() == {NAME}

    def test_after_the_switch_is_noticed(self, monkeypatch) -> None:
        ids = shown()
        subscribe(NEW)

        def crash(self) -> None:
            raise Crash

        with monkeypatch.context() as patch:
            patch.setattr(building._Building, "finish", crash)
            with pytest.raises(Crash):
                rebuild(NEW)
        assert documents()[ids[0]] == {"words": ["note", "0"]}
        change(ids[0])
        shadows.forget()
        drain_once()

        steps: list[str] = []
        rebuild(NEW, step=lambda what, _count: steps.append(what))

        assert steps == []
        state = ProjectionState.objects.get()
        assert (state.shadow, state.schema) == ("", 2)
        assert ours() == {NAME}

    def test_can_be_given_up(self) -> None:
        shown()
        before = documents()
        with pytest.raises(Crash):
            rebuild(NOTES, step=crashing("compare"))

        assert abort(NOTES) is True

        assert (documents(), ours()) == (before, {NAME})
        assert abort(NOTES) is False

    def test_begins_anew_where_the_shape_has_changed_again(self) -> None:
        shown()
        with pytest.raises(Crash):
            rebuild(NOTES, step=crashing("compare"))
        subscribe(NEW)

        assert rebuild(NEW).rows == 40

        assert ours() == {NAME}


class TestTheShape:
    def test_is_taken_for_right_where_nobody_knew_the_projection(self) -> None:
        assert shapes.faults() == {}
        assert ProjectionState.objects.get().schema == 1

    def test_asks_for_a_rebuild_when_it_is_raised(self) -> None:
        shown(2)
        shapes.faults()
        subscribe(NEW)
        assert "--rebuild" in shapes.faults()[NAME]

        rebuild(NEW)

        assert shapes.faults() == {}


class TestTellingAll:
    def test_records_an_event_for_every_row_and_mends_what_differs(self) -> None:
        ids = shown(25)
        with mongo.database() as db:
            db[NAME].update_one({"_id": ids[4]}, {"$set": {"text": "stale"}})

        with beside(deliver):
            told, report = tell_all(NOTES, wait=20)

        assert told == 25
        assert report is not None and report.well
        assert documents()[ids[4]] == {"text": "note 4"}

    def test_says_that_delivery_has_not_come_so_far(self) -> None:
        shown(3)

        assert tell_all(NOTES, wait=0) == (3, None)

        assert OutboxEvent.objects.filter(type="note.replayed").count() == 3


def registry_shard(key: str) -> int:
    from outbox.events import shard_of

    return shard_of("note", key)


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("outbox", "replay", *arguments, stdout=out)
    return out.getvalue()


class TestTheCommand:
    def test_rebuilds(self) -> None:
        shown(12)

        assert "12 rows" in command("--projection", NAME, "--rebuild")

    def test_tells_again(self) -> None:
        shown(12)

        with pytest.raises(SystemExit):
            command("--projection", NAME, "--wait", "0")

        assert OutboxEvent.objects.count() == 12

    def test_gives_up(self) -> None:
        assert "no rebuild" in command("--projection", NAME, "--abort")

    @pytest.mark.parametrize(
        "arguments", [["--rebuild"], ["--abort"], ["--projection", "nothing", "--rebuild"]]
    )
    def test_refuses_what_it_does_not_understand(self, arguments) -> None:
        with pytest.raises(CommandError) as refused:
            command(*arguments)

        assert refused.value.returncode == 2


def test_who_was_stopped_before_a_rebuild_brings_nothing_deleted_back() -> None:
    """The tombstone that refuses what a drainer still has in hand goes into the new collection."""
    kept, gone = shown(2)
    change(gone)
    events = [
        Claimed(one.shard, one.id, "note", one.aggregate_id, one.type, 0, 0.0)
        for one in OutboxEvent.objects.all()
    ]
    in_hand = projecting.prepare(events, epoch=1)
    del ROWS[gone]
    change(gone)
    drain_once()
    assert documents().keys() == {kept}

    rebuild(NOTES)
    projecting.write(in_hand)

    assert documents().keys() == {kept}
