"""Several drainers share the shards; one that ends leaves its own to the others at once."""

from __future__ import annotations

import threading
import time
from itertools import chain

import psycopg
import pytest
from django.db import connection

from outbox import queue
from outbox.delivery import lingering
from outbox.delivery import session as sessions
from outbox.delivery.drainer import BETWEEN, Drainer, Patience
from outbox.delivery.session import Session
from outbox.delivery.shards import Shards
from outbox.events import MONGODB, SHARDS
from tests.outbox.notes import shown, waiting, write
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def somebody():
    """Return a function that makes drainers' shares, each with a session of its own."""
    made: list[Session] = []

    def make(sink: str = MONGODB) -> Shards:
        made.append(Session())
        shards = Shards(made[-1], sink)
        assert shards.join()
        return shards

    yield make
    for session in made:
        session.close()


def test_one_owns_all() -> None:
    session = Session()
    alone = Shards(session, MONGODB)
    alone.join()
    assert sorted(alone.balance().new) == list(range(SHARDS))
    assert alone.balance().new == ()
    session.close()


@pytest.mark.parametrize("many", [2, 3, 5, 16, 20])
def test_all_own_about_the_same_and_no_shard_is_owned_twice(somebody, many) -> None:
    first = somebody()
    first.balance()
    everybody = [first, *(somebody() for _ in range(many - 1))]
    for _ in range(3):
        for one in everybody:
            one.balance()

    owned = [one.owned for one in everybody]
    assert sorted(chain.from_iterable(owned)) == list(range(SHARDS))
    assert max(map(len, owned)) <= -(-SHARDS // many)


def test_sinks_do_not_share(somebody) -> None:
    both = somebody(MONGODB), somebody("analytics")
    for one in both:
        one.balance()
    assert [len(one.owned) for one in both] == [SHARDS, SHARDS]


def test_a_lost_connection_frees_its_shards(somebody) -> None:
    first, second = somebody(), somebody()
    for _ in range(2):
        first.balance()
        second.balance()
    assert len(second.owned) == SHARDS // 2

    first._session.connection.close()

    eventually(lambda: bool(second.balance()) and len(second.owned) == SHARDS)


def test_one_drainer_of_a_worker_is_enough(notes) -> None:
    write("1", "a")
    session = Session()
    Shards(session, MONGODB).join(worker="here")

    done, left = lingering.linger(MONGODB, stop=lambda: False, worker="here")
    assert (done.events, done.reason, left) == (0, "elsewhere", False)
    session.close()
    sessions.close_idle()


def test_two_drainers_deliver_everything_once(notes, settings) -> None:
    settings.OUTBOX_BATCH_SIZE = 20
    loads = notes.loads()
    stop = threading.Event()
    totals: list[int] = []

    def work() -> None:
        session = Session()
        done = Drainer(session, MONGODB).run(Patience(idle=60.0, total=60.0, stop=stop.is_set))
        totals.append(done.events)
        session.close()
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    eventually(lambda: queue._drainers(MONGODB) == 2)
    for number in range(600):
        write(str(number), "a")
    eventually(lambda: waiting() == [])
    stop.set()
    for thread in threads:
        thread.join()

    assert len(shown()) == 600
    assert sum(totals) >= 600
    assert min(totals) > 100
    assert len(loads) < 700


def test_a_drainer_that_hangs_loses_its_session(notes, monkeypatch) -> None:
    monkeypatch.setattr(queue, "STUCK_SECONDS", 0.2)
    session = Session()
    stuck = Shards(session, MONGODB)
    stuck.join()
    stuck.balance()
    write("1", "a")
    assert queue.sinks_to_wake() == []  # it may be at work

    eventually(lambda: queue.sinks_to_wake() == [MONGODB])
    with pytest.raises(psycopg.OperationalError):
        session.run("SELECT 1")
    session.close()


def test_what_comes_while_a_drainer_ends_is_not_forgotten(notes, monkeypatch) -> None:
    """Its hint met the locks that were still held, so whoever held them looks once more."""
    monkeypatch.setattr(lingering, "IDLE_SECONDS", 0.0)
    unlock = sessions.unlock

    def unlock_later(session) -> None:
        if session.connection.info.backend_pid and not waiting():
            write("late", "a")
        unlock(session)

    monkeypatch.setattr(sessions, "unlock", unlock_later)
    done, left = lingering.linger(MONGODB, stop=lambda: False)
    sessions.close_idle()

    assert (done.events, left) == (0, True)


def test_a_kept_session_whose_server_is_gone_is_replaced(notes) -> None:
    lingering.linger(MONGODB, stop=lambda: True)
    kept = sessions._idle[0]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [kept.connection.info.backend_pid])
    write("1", "a")

    done, _ = lingering.linger(MONGODB, stop=lambda: not waiting())
    assert done.events == 1
    sessions.close_idle()


def test_while_changes_keep_coming_one_batch_brings_several(notes) -> None:
    def write_many() -> None:
        for number in range(200):
            write(str(number), "a")
        connection.close()

    writer = threading.Thread(target=write_many)
    begun = time.monotonic()
    writer.start()
    done, _ = lingering.linger(MONGODB, stop=lambda: len(shown()) == 200)
    seconds = time.monotonic() - begun
    writer.join()
    sessions.close_idle()

    assert done.events == 200
    assert done.batches <= seconds / BETWEEN + 1
