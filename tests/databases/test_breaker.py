"""A breaker turns callers away while its store is down and lets them in when it is back."""

from __future__ import annotations

import contextlib
import os
import threading
import time

import pytest

from databases.breaker import (
    LONGEST_PAUSE,
    QUICK,
    RARE,
    AliasUnavailable,
    Breaker,
    BreakerState,
    listen,
)
from tests.waiting import eventually


class Store:
    """A store that is up or down as the test says; it counts how often it is asked."""

    def __init__(self) -> None:
        self.up = True
        self.asked = 0
        self.recovered = 0
        self.slow = threading.Event()
        self.slow.set()

    def probe(self) -> None:
        self.asked += 1
        self.slow.wait(5)
        if not self.up:
            raise ConnectionError("it refuses")

    def recover(self) -> None:
        self.recovered += 1


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def breaker(store):
    made = Breaker("a-store", probe=store.probe, on_recovery=store.recover)
    yield made
    store.up = True
    store.slow.set()
    eventually(lambda: not made.is_open)


def test_a_closed_breaker_lets_everybody_through_and_asks_nobody(breaker, store):
    for _ in range(100):
        breaker.require()

    assert store.asked == 0


def test_an_open_breaker_turns_callers_away_with_what_they_need_to_know(breaker, store):
    store.up = False
    breaker.failed("refused")

    with pytest.raises(AliasUnavailable) as caught:
        breaker.require()

    assert caught.value.status == 503
    assert caught.value.retry_after == 1
    assert "a-store" in caught.value.detail
    assert "refused" not in caught.value.detail


def test_an_open_breaker_answers_in_under_a_millisecond(breaker, store):
    store.up = False
    breaker.failed("refused")
    times = []
    for _ in range(1000):
        begun = time.perf_counter()
        with pytest.raises(AliasUnavailable):
            breaker.require()
        times.append(time.perf_counter() - begun)

    assert sorted(times)[500] < 0.001


def test_it_closes_by_itself_when_the_store_answers_again_and_refreshes_first(breaker, store):
    store.up = False
    breaker.failed("refused")
    eventually(lambda: store.asked >= 2)

    store.up = True

    eventually(lambda: not breaker.is_open)
    assert store.recovered == 1


def test_the_first_caller_after_the_recovery_is_let_in(breaker, store):
    store.up = False
    breaker.failed("refused")
    eventually(lambda: store.asked >= 5)
    asked = store.asked
    eventually(lambda: store.asked > asked)

    # Right behind a probe that failed.
    store.up = True

    breaker.require()


def test_probes_back_off_to_half_a_second(breaker, store):
    store.up = False
    breaker.failed("refused")
    begun = time.monotonic()
    eventually(lambda: time.monotonic() - begun > 2.0)

    # 0.05 + 0.1 + 0.2 + 0.4 + 0.5 + 0.5 ... with jitter: nobody nudges, since nobody calls.
    assert 4 <= store.asked <= 10


def test_many_callers_of_a_store_that_is_down_cause_one_probe_at_a_time(breaker, store):
    store.up = False
    store.slow.clear()
    breaker.failed("refused")
    threads = [threading.Thread(target=lambda: _refused(breaker)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.asked <= 1


def _refused(breaker: Breaker) -> None:
    with pytest.raises(AliasUnavailable):
        breaker.require()


def test_a_suspicion_that_proves_wrong_never_opens_it(breaker, store):
    breaker.suspect("slow statement")

    eventually(lambda: store.asked == 1)
    breaker.require()
    assert breaker.state().opened == 0
    assert store.recovered == 0


def test_a_suspicion_that_proves_right_opens_it(breaker, store):
    store.up = False

    breaker.suspect("slow statement")

    eventually(lambda: breaker.is_open)
    assert breaker.state().reason == "it refuses"


def test_state_changes_are_told_and_counted(breaker, store, request):
    told: list[BreakerState] = []
    request.addfinalizer(listen(told.append))
    store.up = False

    breaker.failed("refused")
    store.up = True

    eventually(lambda: [state.open for state in told if state.store == "a-store"] == [True, False])
    assert breaker.state().opened == 1


def test_a_listener_that_fails_harms_nobody(breaker, store, request):
    def fail(state: BreakerState) -> None:
        raise RuntimeError("broken listener")

    request.addfinalizer(listen(fail))
    store.up = False

    breaker.failed("refused")

    assert breaker.is_open


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_made_by_fork_starts_closed_and_can_probe(breaker, store):
    store.up = False
    breaker.failed("refused")
    eventually(lambda: store.asked >= 1)
    known = Breaker("in-child", probe=store.probe)
    known.is_open = True

    pid = os.fork()
    if pid == 0:
        known.reset_after_fork()
        known.suspect("anything")
        deadline = time.monotonic() + 5
        while not known.is_open and time.monotonic() < deadline:
            time.sleep(0.01)
        os._exit(0 if known.is_open else 1)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_callers_who_are_served_from_elsewhere_never_wait_and_are_let_in_soon(store):
    breaker = Breaker("with-a-fallback", probe=store.probe, patient=False)
    store.up = False
    breaker.failed("refused")
    eventually(lambda: store.asked >= 2)
    store.slow.clear()
    longest = 0.0
    for _ in range(4):
        time.sleep(RARE * 1.5)  # callers who come rarely
        begun = time.perf_counter()
        with pytest.raises(AliasUnavailable):
            breaker.require()
        longest = max(longest, time.perf_counter() - begun)
    store.up = True
    store.slow.set()

    assert longest < 0.02
    eventually(lambda: not breaker.is_open)


def test_a_store_that_refuses_slowly_is_asked_again_soon_while_callers_come_by():
    up = threading.Event()

    def refuse_slowly() -> None:
        time.sleep(QUICK * 3)  # the store's own time, not a wait for something
        if not up.is_set():
            raise ConnectionError("it is starting")

    breaker = Breaker("a-slow-store", probe=refuse_slowly)
    breaker.failed("refused")
    time.sleep(1.2)  # so long that the pauses between probes have grown to their longest
    up.set()
    begun = time.monotonic()

    def served() -> bool:
        with contextlib.suppress(AliasUnavailable):
            breaker.require()
        return not breaker.is_open

    eventually(served)
    assert time.monotonic() - begun < LONGEST_PAUSE / 2
