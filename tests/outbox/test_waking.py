"""Hints: few whatever the number of commits, none of what was rolled back, none in the request."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import pytest
import redis
from django.conf import settings as site
from django.db import transaction

from outbox import wake
from tests.outbox.notes import write
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


class Queue:
    """A queue of the real broker that no worker takes from."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._broker = redis.Redis.from_url(site.CELERY_BROKER_URL)

    def __len__(self) -> int:
        return int(self._broker.llen(self.name))

    def forget(self) -> None:
        self._broker.delete(self.name)
        self._broker.close()


@pytest.fixture
def queue(settings, monkeypatch, notes) -> Iterator[Queue]:
    """Have hints sent into a queue of the test's own."""
    made = Queue(f"tests-{uuid.uuid4().hex}")
    settings.OUTBOX_WAKE = True
    monkeypatch.setattr(wake, "QUEUE", made.name)
    waker = wake._Waker()
    monkeypatch.setattr(wake, "_waker", waker)
    yield made
    waker._sinks.clear()  # What is not due yet would go into the next test's queue.
    made.forget()


def test_many_commits_make_few_tasks(queue) -> None:
    begun = time.monotonic()
    for number in range(1_000):
        write(str(number), "a")
    for _ in range(9_000):
        wake.hint("mongodb")
    seconds = time.monotonic() - begun

    eventually(lambda: len(queue) > 0)
    time.sleep(2 * wake.BETWEEN)  # whatever else would be sent is sent by now
    assert len(queue) <= (seconds + 2 * wake.BETWEEN) / wake.BETWEEN_FOR_MONGODB + 2


def test_a_hint_that_is_not_due_yet_is_sent_when_it_is(queue, monkeypatch) -> None:
    monkeypatch.setattr(wake, "BETWEEN_FOR_MONGODB", 2 * wake.BETWEEN)
    write("1", "a")
    eventually(lambda: len(queue) == 1)
    write("2", "a")
    eventually(lambda: len(queue) == 2)


def test_what_is_rolled_back_sends_nothing(queue) -> None:
    with pytest.raises(ValueError, match="no"), transaction.atomic():
        write("1", "a")
        raise ValueError("no")

    time.sleep(2 * wake.BETWEEN)  # in which a hint would be sent
    assert len(queue) == 0


@pytest.mark.outage
def test_a_broker_that_hangs_or_is_gone_holds_no_commit_up(queue, servers) -> None:
    write("0", "a")
    eventually(lambda: len(queue) > 0)
    for number, way in enumerate(("pause", "kill")):
        getattr(servers, way)("redis")
        slowest = 0.0
        for row in range(200):
            begun = time.monotonic()
            write(f"{number}-{row}", "a")
            slowest = max(slowest, time.monotonic() - begun)
        getattr(servers, "resume" if way == "pause" else "start")("redis")
        # One call to the broker would take its socket's timeout, a second at least.
        assert slowest < 1.0
