"""Stores, broker, worker and beat end at the worst moment: both stores are equal soon after.

Celery's worker and beat deliver while people change and somebody watches MongoDB.
"""

from __future__ import annotations

import random
import time

import pytest

from tests import faults
from tests.outbox_site import OutboxSite, busy, pause_between
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
        eventually(lambda: made.waiting() == 0)
        yield made
    finally:
        made.stop()
        made.forget()


FAULTS = (
    *(faults.mongodb_is_killed, faults.mongodb_hangs, faults.mongodb_steps_down),
    *(faults.redis_is_killed, faults.redis_hangs, faults.redis_forgets_everything),
    *(faults.redis_forgets_all_that_it_acknowledged,),
    *(faults.the_primary_restarts, faults.the_primary_is_killed),
    *(faults.the_worker_is_killed, faults.beat_is_killed),
    *(faults.the_worker_hangs_and_loses_its_shards,),
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
