"""A task that a caller sends after a write sees that write, at its retries too."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import pytest
import redis as driver
from celery import Celery
from django.db import connections, transaction

from accounts.models import User
from databases.causality import PIN_SECONDS, causal_scope
from databases.replica import MAX_LAG_SECONDS
from tests.waiting import eventually

pytestmark = [
    pytest.mark.outage,
    pytest.mark.skipif("replica" not in connections.settings, reason="this shape has no replica"),
    pytest.mark.django_db(transaction=True, databases=["default"]),
]


@pytest.fixture(scope="module")
def queue(site):
    """Run a worker of the site on a queue of its own."""
    name = f"tests-{uuid.uuid4().hex}"
    site.spawn(
        *("celery", "-A", "config", "worker", "--queues", name, "--concurrency", "1"),
        *("--include", "tests.databases.tasks_of_the_tests", "--without-mingle"),
    )
    return name


@pytest.fixture
def ask(site, queue):
    """Return a function that sends the task and returns what it noted at both tries."""
    broker = site.environment["REDIS_URL"]
    store = driver.Redis.from_url(broker)

    def ask() -> list[str]:
        key = f"read-{uuid.uuid4().hex}"
        with Celery("sender", broker=broker, set_as_current=False) as sender:
            sender.send_task("tests.where_it_reads", kwargs={"key": key}, queue=queue)
        eventually(lambda: store.llen(key) == 2)
        return [alias.decode() for alias in store.lrange(key, 0, -1)]

    yield ask
    store.close()


def in_time(attempt: Callable[[], list[str]], *, seconds: float) -> list[str]:
    """Return what an attempt gave that took less than this: after it, another rule is at work."""
    while True:
        began = time.monotonic()
        found = attempt()
        if time.monotonic() - began < seconds:
            return found


def write() -> None:
    User.objects.create_user(email=f"{uuid.uuid4().hex}@example.org")


def test_who_wrote_nothing_has_tasks_that_read_the_replica(ask):
    with causal_scope():
        eventually(lambda: ask() == ["replica", "replica"])


def test_who_wrote_has_tasks_that_read_the_primary_until_the_replica_has_it(ask, servers):
    servers.pause_replay()

    with causal_scope():
        write()

        assert ask() == ["default", "default"]

    servers.resume_replay()


def test_tasks_of_others_read_the_replica_meanwhile(ask, servers):
    def attempt():
        servers.resume_replay()
        with causal_scope():
            eventually(lambda: ask() == ["replica", "replica"])
        servers.pause_replay()
        with causal_scope():
            write()
        with causal_scope():
            return ask()

    # A replica that stands still for longer is left alone by everybody.
    assert in_time(attempt, seconds=MAX_LAG_SECONDS) == ["replica", "replica"]

    servers.resume_replay()


def test_a_task_sent_from_an_open_transaction_reads_the_primary(ask):
    with causal_scope(), transaction.atomic():
        write()

        # Where no position is known yet, reads are kept on the primary for as long.
        assert in_time(ask, seconds=PIN_SECONDS) == ["default", "default"]
