"""Scans begin behind what is settled, and never behind an event that has yet to be committed."""

from __future__ import annotations

import random
import threading
import time

import pytest
from django.db import connection

from outbox.delivery import claims, drainer
from outbox.delivery.claims import Claims
from outbox.delivery.drainer import Drainer, Patience
from outbox.delivery.floor import LEAST_AGE, MOST_SAMPLES, Floor
from outbox.delivery.session import Session
from outbox.events import MONGODB, SHARDS, shard_of
from tests.outbox.notes import shown, waiting, write
from tests.waiting import eventually

INSERT = (
    "INSERT INTO outbox_outboxevent (sink, shard, aggregate_type, aggregate_id, event_type)"
    " VALUES ('mongodb', %s, 'note', %s, 'note.written')"
)


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
    eventually(lambda: "late" in shown(), seconds=1.0)
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


@pytest.mark.parametrize("order", ["number first", "id first"])
def test_the_floor_never_passes_the_newest_transaction_while_nothing_newer_ends(
    notes, elsewhere, order
) -> None:
    """No snapshot names a transaction that is open while no later one has ended."""
    session = Session()
    scans = Claims(session, MONGODB, batch=10)
    shards = list(range(SHARDS))

    def looked(seconds: float) -> None:
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            scans.settled(scans.new(shards))
            assert max(scans._floors.values(), default=0) < held

    if order == "number first":
        elsewhere.execute("INSERT INTO tests_note VALUES ('held', 'a')")
    held = _taken_id(elsewhere, numbered=order == "number first")
    if order == "id first":
        looked(LEAST_AGE / 3)
    elsewhere.execute(
        INSERT.replace(" (sink,", " (id, sink,").replace("VALUES (", "VALUES (%s, "),
        (held, shard_of("note", "held"), "held"),
    )
    looked(1.5 * LEAST_AGE)
    elsewhere.commit()

    assert [one.id for one in scans.new(shards).events] == [held]
    session.close()


def _taken_id(elsewhere, *, numbered: bool) -> int:
    """Take the next id in a transaction that has its number already, or has none."""
    while True:
        [[taken]] = elsewhere.execute("SELECT nextval('outbox_outboxevent_id_seq')")
        [[number]] = elsewhere.execute("SELECT pg_current_xact_id_if_assigned()::text")
        if (number is not None) == numbered:
            return taken
        elsewhere.rollback()  # every now and then the sequence writes WAL, which takes a number


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


class Writers:
    """Transactions of a model: each has a number, or an id without one for less than a second."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.now = 0.0
        self.floor = Floor()
        self.next_id = self.next_number = 1
        self.ended = 0
        self.ids: dict[int, list[int]] = {}
        self.numberless: list[tuple[float, int]] = []

    def begin(self, *ids: int) -> None:
        self.ids[self.next_number] = list(ids)
        self.next_number += 1

    def number(self) -> None:
        if self.numberless:
            self.begin(self.numberless.pop(self.chance.randrange(len(self.numberless)))[1])

    def take(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def take_first(self) -> None:
        self.numberless.append((self.now, self.take()))

    def take_more(self) -> None:
        if self.ids:
            self.ids[self.chance.choice(list(self.ids))].append(self.take())

    def end(self) -> None:
        if self.ids:
            number = self.chance.choice(list(self.ids))
            del self.ids[number]
            self.ended = max(self.ended, number)

    def sample(self) -> None:
        xmin, number = min(self.ids, default=self.ended + 1), None
        if self.floor.wants_a_number(self.now):
            number = self.ended = self.next_number
            self.next_number += 1
        self.floor.note(
            last_id=self.next_id - 1, xmin=xmin, number=number, asked=self.now, answered=self.now
        )

    def step(self) -> None:
        self.now += self.chance.uniform(0, 0.1)
        while self.numberless and self.now - self.numberless[0][0] >= LEAST_AGE:
            self.begin(self.numberless.pop(0)[1])
        actions = [self.begin, self.number, self.take_first, self.take_more, self.end]
        self.chance.choices(actions, [3, 1, 2, 2, 3])[0]()
        self.sample()

    def held(self) -> list[int]:
        numbered = [one for many in self.ids.values() for one in many]
        return numbered + [one for _, one in self.numberless]


@pytest.mark.parametrize("seed", range(50))
def test_the_floor_never_passes_an_open_transaction(seed) -> None:
    """Random interleavings of taking an id and a number, ending, and sampling."""
    writers = Writers(random.Random(seed))
    for _ in range(900):
        writers.step()
        assert writers.floor.value < min(writers.held(), default=writers.next_id)
    while writers.ids or writers.numberless:
        writers.number()
        writers.end()
    for _ in range(3):
        writers.now += LEAST_AGE
        writers.sample()
    assert writers.floor.value == writers.next_id - 1


def test_a_floor_that_a_writer_holds_for_long_keeps_few_samples_and_rises_at_last() -> None:
    floor = Floor()
    for last_id in range(1, 5_000):
        number = last_id + 10 if floor.wants_a_number(float(last_id)) else None
        now = float(last_id)
        floor.note(last_id=last_id, xmin=5, number=number, asked=now, answered=now)
    assert floor.value == 0
    assert len(floor._numbered) <= MOST_SAMPLES
    floor.note(last_id=5_000, xmin=6_000, number=6_000, asked=6e3, answered=6e3)
    assert floor.value == 4_999


def test_a_floor_wants_no_number_while_nothing_is_written() -> None:
    floor = Floor()
    floor.note(last_id=7, xmin=5, number=None, asked=0.0, answered=0.0)
    assert floor.wants_a_number(2.0)
    floor.note(last_id=7, xmin=5, number=5, asked=2.0, answered=2.0)
    assert floor.value == 7
    assert not floor.wants_a_number(100.0)


def test_a_sequence_that_was_set_back_takes_the_floor_along() -> None:
    floor = Floor()
    floor.note(last_id=100, xmin=5, number=None, asked=0.0, answered=0.0)
    floor.note(last_id=900, xmin=5, number=5, asked=2.0, answered=2.0)
    assert floor.value == 100
    floor.note(last_id=300, xmin=9, number=9, asked=4.0, answered=4.0)
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
