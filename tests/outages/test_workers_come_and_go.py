"""A worker that is asked to end finishes what it has in hand; one that stays keeps its sessions."""

from __future__ import annotations

import signal
from typing import Any

import pymongo
import pytest

from outbox.delivery.session import NAME
from outbox.events import ID_BITS
from tests.outbox_site import OutboxSite, Watcher, Writers
from tests.waiting import eventually

pytestmark = pytest.mark.outage
IDS = (1 << ID_BITS) - 1
ENDS_WITHIN = 15.0
"""Seconds, with the shutdown of Celery itself; a drain stays for 20 while changes keep coming."""


@pytest.fixture
def site(servers_of_the_session):
    """Yield a site of its own; tests start its processes."""
    made = OutboxSite(servers_of_the_session)
    made.manage("migrate_all")
    made.forget()
    yield made
    made.stop()
    made.forget()


def shown_and_still_waiting(site: OutboxSite) -> list[Any]:
    """Return the events that wait though the document shows them already."""
    with pymongo.MongoClient(site.mongo_url) as client:
        versions = {
            each["_id"]: each["_v"] & IDS
            for each in client.get_default_database()["users"].find({}, {"_v": 1})
        }
    return [
        (key, number) for number, key in site.sql(_OF_MONGODB) if number <= versions.get(key, -1)
    ]


@pytest.mark.parametrize("kind", ["worker", pytest.param("drainer", marks=pytest.mark.long)])
def test_one_that_is_asked_to_end_finishes_its_batch(site, kind) -> None:
    process = getattr(site, kind)()
    if kind == "worker":
        site.beat()
    delivered_one(site)
    watcher = Watcher(site)
    writers = Writers(site, many=4, pause=0.002)
    try:
        eventually(lambda: watcher.changes > 100)

        process.send_signal(signal.SIGTERM)

        assert process.wait(ENDS_WITHIN) == 0
        assert writers.commits > 20
    finally:
        writers.stop()
        watcher.stop()
    assert shown_and_still_waiting(site) == []
    site.drainer()
    site.becomes_equal()


def test_sessions_are_kept_from_one_task_to_the_next(site) -> None:
    site.worker()
    site.beat()
    delivered_one(site)
    eventually(lambda: site.drainers() == 0)
    before = sessions(site)
    assert before

    delivered_one(site)
    eventually(lambda: site.drainers() == 0)

    assert before <= sessions(site)


_OF_MONGODB = "SELECT id, aggregate_id FROM outbox_outboxevent WHERE sink = 'mongodb'"
_KNOCK = (
    "INSERT INTO outbox_outboxevent (sink, shard, aggregate_type, aggregate_id, event_type)"
    " VALUES ('mongodb', 0, 'user', gen_random_uuid()::text, 'user.updated')"
)


def delivered_one(site: OutboxSite) -> None:
    """Record an event of somebody who is gone, and see it delivered."""
    site.sql(_KNOCK)
    eventually(lambda: site.waiting() == 0)


def sessions(site: OutboxSite) -> set[tuple[Any, ...]]:
    """Return the sessions that deliver, each with the moment of its beginning."""
    found = site.sql(
        "SELECT pid, backend_start FROM pg_stat_activity WHERE application_name LIKE %s",
        [f"{NAME}:%"],
    )
    return set(found)
