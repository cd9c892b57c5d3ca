"""With the server of `cache` gone, zones are answered from memory, and everything serves on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.running_site import IN_A_ZONE
from tests.waiting import eventually

pytestmark = pytest.mark.outage


def timed(site, path):
    begun = time.monotonic()
    response = site.get(path)
    return response, time.monotonic() - begun


def says_that_it_is_degraded(response) -> bool:
    return (
        response.status_code == 200
        and response.json()["result"] == "yes"
        and response.headers.get("X-Degraded") == "cache"
    )


def in_memory_everywhere(site) -> bool:
    """Tell whether both web processes have loaded their index from the database."""
    told = site.get("/api/opportunity-zones/status").json()
    loaded = [one for one in told["workers"] if one["origin"] == "database"]
    return len(loaded) >= 2 and all(one["databaseReachable"] for one in loaded)


def web_processes(site) -> list[int]:
    """Return the numbers of gunicorn's workers."""
    master = site._processes[0].pid
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


@pytest.fixture(params=["stop", "kill", "pause"])
def cache_down(request, servers, site, cache_server):
    """Take the server of `cache` away in each way; it is back after the test."""
    eventually(lambda: in_memory_everywhere(site))
    getattr(servers, request.param)(cache_server)
    yield request.param
    if servers.status()[cache_server] != "up":
        _bring_back(servers, cache_server, request.param)
    eventually(lambda: site.get(IN_A_ZONE).status_code == 200)


def _bring_back(servers, server, how):
    if how == "pause":
        servers.resume(server)
    else:
        servers.start(server)


def test_zones_are_answered_from_memory_at_once_and_say_so(cache_down, site):
    answers = [timed(site, IN_A_ZONE) for _ in range(20)]

    assert all(response.json()["result"] == "yes" for response, _ in answers)
    assert sorted(seconds for _, seconds in answers)[-3] < 1.0
    eventually(lambda: all(says_that_it_is_degraded(site.get(IN_A_ZONE)) for _ in range(8)))
    assert site.get(IN_A_ZONE).headers["Cache-Control"] == "public, max-age=15"


def test_a_process_that_starts_meanwhile_builds_from_the_source(cache_down, site):
    for pid in web_processes(site):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: serves(site))

    answer, seconds = timed(site, IN_A_ZONE)

    assert says_that_it_is_degraded(answer)
    assert answer.json()["sample"] is True
    assert seconds < 12
    assert answer.headers["X-Zones-Generation"] == "0", "of no activation"


def serves(site) -> bool:
    try:
        return site.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def test_everything_else_serves_on(cache_down, site):
    site.get(IN_A_ZONE)

    for path in ("/health", "/api/health", "/admin/login/", "/api/openapi.json"):
        response, seconds = timed(site, path)
        assert response.status_code == 200, path
        assert seconds < 1.5, path


def test_health_is_honest_and_never_hangs(cache_down, site):
    eventually(lambda: site.get("/api/health/databases").json()["cache"] is False)
    response, seconds = timed(site, "/api/health/databases")

    assert seconds < 1.5
    found = response.json()
    assert found["cache"] is False
    assert found["main"] and found["analytics"] and found["documents"]
    eventually(lambda: site.get("/api/health").json()["status"] == "healthy")


def test_zones_are_as_before_once_it_is_back(cache_down, servers, site, cache_server):
    eventually(lambda: says_that_it_is_degraded(site.get(IN_A_ZONE)))

    _bring_back(servers, cache_server, cache_down)

    eventually(lambda: "X-Degraded" not in site.get(IN_A_ZONE).headers, seconds=15)
    eventually(lambda: in_memory_everywhere(site), seconds=15)
    # From the database again, not from a snapshot: workers follow within ten seconds.
    eventually(lambda: int(site.get(IN_A_ZONE).headers["X-Zones-Generation"]) >= 1)
