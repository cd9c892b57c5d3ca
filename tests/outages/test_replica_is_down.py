"""With the replica gone, the primary serves its reads and nobody notices."""

from __future__ import annotations

import httpx
import pytest
from django.db import connections

from tests.waiting import eventually

pytestmark = [
    pytest.mark.outage,
    pytest.mark.skipif("replica" not in connections.settings, reason="this shape has no replica"),
]
PASSWORD = "only-for-this-test-run"
CUSTOMERS = "/admin/customers/businessentity/"


@pytest.fixture(scope="module")
def operator(site):
    """Return a client that is signed in to the admin."""
    site.manage(
        *("ensure_development_admin", "--email", "operator@example.org"),
        DEBUG="true",
        DEVELOPMENT_ADMIN_PASSWORD=PASSWORD,
    )
    with httpx.Client(base_url=site.url(""), follow_redirects=True, timeout=30) as client:
        client.get("/admin/login/")
        answer = client.post(
            "/admin/login/",
            data={
                "username": "operator@example.org",
                "password": PASSWORD,
                "csrfmiddlewaretoken": client.cookies["csrftoken"],
                "next": "/admin/",
            },
            headers={"Referer": site.url("/admin/login/")},
        )
        assert "Log out" in answer.text
        yield client


@pytest.mark.parametrize("how", ["stop", "kill", "pause"])
def test_pages_that_read_replicas_are_served_by_the_primary(how, servers, site, operator):
    assert operator.get(CUSTOMERS).status_code == 200
    getattr(servers, how)("replica")

    answers = [operator.get(CUSTOMERS) for _ in range(20)]

    assert {answer.status_code for answer in answers} == {200}


def test_health_says_that_no_replica_is_usable(servers, site):
    eventually(lambda: site.get("/api/health/databases").json()["readReplica"] is True)

    servers.stop("replica")

    eventually(lambda: site.get("/api/health/databases").json()["readReplica"] is False)
    eventually(lambda: site.get("/api/health").json()["status"] == "healthy")
