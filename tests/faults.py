"""What may happen to the servers and processes of a running site, for tests of outages."""

from __future__ import annotations

import time
from contextlib import suppress

import pymongo
import redis
from pymongo.errors import AutoReconnect

from devservers.sets import ServerSet
from tests.outbox_site import OutboxSite, stopped
from tests.waiting import eventually


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
    with redis.Redis.from_url(site.environment["REDIS_URL"]) as client:
        client.flushall()


def redis_forgets_all_that_it_acknowledged(site: OutboxSite, servers: ServerSet) -> None:
    """Empty it again and again: hardly a hint lives until a worker asks for it."""
    over = time.monotonic() + 1.5
    with redis.Redis.from_url(site.environment["REDIS_URL"]) as client:
        while time.monotonic() < over:
            client.flushall()


def redis_hangs(site: OutboxSite, servers: ServerSet) -> None:
    servers.pause("redis")
    time.sleep(1.5)  # how long it hangs
    servers.resume("redis")


def the_primary_restarts(site: OutboxSite, servers: ServerSet) -> None:
    servers.restart("primary")


def the_primary_is_killed(site: OutboxSite, servers: ServerSet) -> None:
    servers.kill("primary")
    servers.start("primary")


def the_worker_is_killed(site: OutboxSite, servers: ServerSet) -> None:
    site.kill(site.processes["worker"])
    site.processes["worker"] = site.worker()


def beat_is_killed(site: OutboxSite, servers: ServerSet) -> None:
    site.kill(site.processes["beat"])
    site.processes["beat"] = site.beat()


def the_worker_hangs_and_loses_its_shards(site: OutboxSite, servers: ServerSet) -> None:
    drainer = site.drainer()
    eventually(lambda: site.drainers() >= 2)
    with stopped(drainer):
        site.cut(drainer)
        time.sleep(0.5)  # others deliver what it has in hand
    site.kill(drainer)
