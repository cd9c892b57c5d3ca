"""Stores, broker, worker and beat end at the worst moment: both stores are equal soon after.

Celery's worker and beat deliver while people change and somebody watches MongoDB.
"""

from __future__ import annotations

import random
import time
from contextlib import suppress

import pymongo
import pytest
from pymongo.errors import AutoReconnect

from devservers.sets import ServerSet
from tests.outbox_site import OutboxSite, busy, kill, pause_between, stopped
from tests.waiting import eventually

pytestmark = pytest.mark.outage


@pytest.fixture(scope="module")
def site(servers_of_the_session):
    """Yield a site with worker and beat."""
    made = OutboxSite(servers_of_the_session)
    made.manage("migrate_all")
    made.forget()
    made.processes = {"worker": made.worker(), "beat": made.beat()}
    try:
        made.sql(
            "INSERT INTO outbox_outboxevent (sink, shard, aggregate_type, aggregate_id, event_type)"
            " VALUES ('mongodb', 0, 'user', gen_random_uuid()::text, 'user.x')"
        )
        eventually(lambda: made.waiting() == 0, seconds=60)
        yield made
    finally:
        made.stop()
        made.forget()


def mongodb_is_killed(site: OutboxSite, servers: ServerSet) -> None:
    servers.kill("mongodb")
    time.sleep(1.0)  # how long it is away
    servers.start("mongodb")


def mongodb_hangs(site: OutboxSite, servers: ServerSet) -> None:
    servers.pause("mongodb")
    time.sleep(1.5)  # how long it hangs
    servers.resume("mongodb")


def mongodb_steps_down(site: OutboxSite, servers: ServerSet) -> None:
    with pymongo.MongoClient(site.mongo_url) as client, suppress(AutoReconnect):
        # It cuts its connections.
        client.admin.command("replSetStepDown", 1, secondaryCatchUpPeriodSecs=0, force=True)


def redis_is_killed(site: OutboxSite, servers: ServerSet) -> None:
    servers.kill("redis")
    time.sleep(0.5)  # how long it is away
    servers.start("redis")


def redis_forgets_everything(site: OutboxSite, servers: ServerSet) -> None:
    import redis

    with redis.Redis.from_url(site.environment["REDIS_URL"]) as client:
        client.flushall()


def the_primary_restarts(site: OutboxSite, servers: ServerSet) -> None:
    servers.restart("primary")


def the_primary_is_killed(site: OutboxSite, servers: ServerSet) -> None:
    servers.kill("primary")
    servers.start("primary")


def the_worker_is_killed(site: OutboxSite, servers: ServerSet) -> None:
    kill(site.processes["worker"])
    site.processes["worker"] = site.worker()


def beat_is_killed(site: OutboxSite, servers: ServerSet) -> None:
    kill(site.processes["beat"])
    site.processes["beat"] = site.beat()


def the_worker_hangs_and_loses_its_shards(site: OutboxSite, servers: ServerSet) -> None:
    drainer = site.drainer()
    eventually(lambda: site.delivering() >= 2, seconds=30)
    with stopped(drainer):
        site.cut(drainer)
        time.sleep(0.5)  # others deliver what it has in hand
    kill(drainer)


FAULTS = (
    *(mongodb_is_killed, mongodb_hangs, mongodb_steps_down),
    *(redis_is_killed, redis_forgets_everything),
    *(the_primary_restarts, the_primary_is_killed),
    *(the_worker_is_killed, beat_is_killed, the_worker_hangs_and_loses_its_shards),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_nothing_is_lost_when(fault, site, servers) -> None:
    chance = random.Random(fault.__name__)
    with busy(site):
        pause_between(chance, 0.3, 1.0)
        fault(site, servers)
        pause_between(chance, 0.3, 0.6)


def test_what_was_acknowledged_before_mongodb_was_killed_is_there(site, servers) -> None:
    """An event is deleted only when its copy is on disk."""
    for _ in range(2):
        with busy(site, pause=0.002):
            time.sleep(0.3)  # any moment will do
            servers.kill("mongodb")
            servers.start("mongodb")


def test_changes_that_no_hint_tells_of_are_found_by_the_sweep(site, servers) -> None:
    eventually(lambda: site.drainers() == 0, seconds=10)
    with busy(site):  # these writers are no site: nobody sends hints
        eventually(lambda: site.drainers() == 1, seconds=6)


def test_a_pause_stops_delivery_within_a_second_and_writers_go_on(site, servers) -> None:
    with busy(site) as writers:
        site.manage("outbox", "pause", "--reason", "a test")
        time.sleep(1.0)  # what is promised
        shown, commits = site.shown(), writers.commits
        eventually(lambda: writers.commits > commits + 20)
        assert site.shown() == shown
        assert "a test" in site.manage("outbox", "status").stdout
        site.manage("outbox", "resume")
