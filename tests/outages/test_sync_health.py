"""/api/health/sync tells the truth within about a second while a store is away or hangs."""

from __future__ import annotations

import time

import pytest

from tests.running_site import METRICS_TOKEN
from tests.waiting import eventually

pytestmark = pytest.mark.outage

TOKEN = {"Authorization": f"Bearer {METRICS_TOKEN}"}


def asked(site):
    begun = time.monotonic()
    answer = site.get("/api/health/sync", headers=TOKEN)
    assert time.monotonic() - begun < 3  # a second, and what a busy machine adds
    assert answer.status_code == 200, answer.text
    return answer.json()


def codes(site):
    return {alert["code"] for alert in asked(site)["alerts"]}


@pytest.mark.parametrize("how", ["stop", "pause"])
def test_without_mongodb_it_is_degraded(site, servers, how):
    eventually(lambda: asked(site)["databases"]["mongodb"] == "connected")
    getattr(servers, how)("mongodb")

    # Each of the two processes may still tell for a second what it saw last.
    eventually(lambda: all("mongodb.disconnected" in codes(site) for _ in range(6)), seconds=10)
    found = asked(site)

    assert found["databases"] == {"postgresql": "connected", "mongodb": "disconnected"}
    assert found["status"] in {"degraded", "unhealthy"}
    assert found["sync"]["queueSize"] is not None


@pytest.mark.parametrize("how", ["stop", "pause"])
def test_without_the_primary_it_is_unhealthy_and_knows_no_figures(site, servers, how):
    eventually(lambda: asked(site)["databases"]["postgresql"] == "connected")
    getattr(servers, how)("primary")

    # Each of the two processes may still tell for a second what it saw last.
    eventually(lambda: all("postgresql.disconnected" in codes(site) for _ in range(6)), seconds=10)
    found = asked(site)

    assert found["status"] == "unhealthy"
    assert found["databases"]["postgresql"] == "disconnected"
    assert found["sync"] == {"queueSize": None, "syncLagSeconds": None, "failedEvents": None}


def test_while_redis_hangs_it_answers(site, servers):
    both = {"postgresql": "connected", "mongodb": "connected"}
    eventually(lambda: all(asked(site)["databases"] == both for _ in range(6)))
    servers.pause("redis")

    for _ in range(6):
        found = asked(site)
        assert found["databases"] == both
        assert found["sync"]["queueSize"] is not None
