"""Health tells the truth about every store, in about a second, whatever hangs."""

from __future__ import annotations

import time

import pytest

from tests.waiting import eventually

pytestmark = pytest.mark.outage

KEYS = {
    *("main", "cache", "analytics", "documents", "compliance", "data"),
    *("readReplica", "mongodb", "redis"),
}


def databases(site):
    return site.get("/api/health/databases").json()


def down(site):
    """Return the keys of the stores that do not answer, for a failure's message."""
    return [key for key, up in databases(site).items() if not up]


def test_all_is_well_while_all_is_up(site):
    eventually(lambda: not down(site), seconds=5)

    assert set(databases(site)) == KEYS
    # The other process may still tell what it saw up to a second ago.
    eventually(lambda: site.get("/api/health").json()["status"] == "healthy")
    health = site.get("/api/health")
    assert health.status_code == 200
    assert health.json()["status"] == "healthy"
    assert set(health.json()["databases"]) == {"mongodb", "postgresql", "timestamp"}


@pytest.mark.parametrize("how", ["stop", "pause"])
@pytest.mark.parametrize(
    ("server", "keys"),
    [
        ("mongodb", {"mongodb"}),
        ("redis", {"redis"}),
        ("primary", {"main"}),
    ],
)
def test_a_store_that_does_not_answer_is_named_within_a_second(site, servers, server, keys, how):
    eventually(lambda: not down(site), seconds=10)
    getattr(servers, how)(server)

    eventually(lambda: not any(databases(site)[key] for key in keys), seconds=10)
    begun = time.monotonic()
    found = site.get("/api/health/databases")
    seconds = time.monotonic() - begun

    assert found.status_code == 200
    assert seconds < 1.5
    assert site.get("/health").json() == {"status": "ok"}


def test_one_of_the_two_is_enough_to_be_degraded(site, servers):
    servers.stop("mongodb")

    eventually(lambda: site.get("/api/health").json()["status"] == "degraded")
    assert site.get("/api/health").status_code == 200


def test_with_neither_the_site_is_unhealthy(site, servers):
    servers.stop("mongodb")
    servers.stop("primary")

    eventually(lambda: site.get("/api/health").status_code == 503)
    assert site.get("/api/health").json()["status"] == "unhealthy"


def test_connections_are_for_staff_and_for_the_token(site):
    token = {"Authorization": f"Bearer {site.environment['METRICS_TOKEN']}"}

    assert site.get("/api/health/connections").status_code == 401
    answer = site.get("/api/health/connections", headers=token)
    server = site.get("/api/health/connections?scope=server", headers=token)

    assert answer.status_code == 200
    assert set(answer.json()) <= KEYS - {"mongodb", "redis"}
    for figures in (*answer.json().values(), *server.json().values()):
        assert set(figures) == {"totalConnections", "idleConnections", "waitingConnections"}


def test_detail_is_for_staff_only(site):
    token = {"Authorization": f"Bearer {site.environment['METRICS_TOKEN']}"}

    assert "detail" not in site.get("/api/health/databases?verbose=1").json()
    detail = site.get("/api/health/databases?verbose=1", headers=token).json()["detail"]

    assert detail["default"]["up"] is True
    assert detail["default"]["breaker"] == "closed"
