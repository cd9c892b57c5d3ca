"""A restart of the primary costs each process next to nothing."""

from __future__ import annotations

import threading

import pytest

from tests.waiting import eventually

pytestmark = pytest.mark.outage
LOGIN = "/admin/login/"


def test_idle_connections_that_the_restart_cut_fail_nobody(site, servers):
    threads = [threading.Thread(target=site.get, args=[LOGIN]) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    servers.restart("primary")
    eventually(lambda: site.get("/api/health/databases").json()["main"])

    assert {site.get(LOGIN).status_code for _ in range(30)} == {200}
