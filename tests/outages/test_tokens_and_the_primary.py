"""While the primary is away nobody can say whether a token is valid: 503, at once, and back."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.accounts.oauth.real_clients import add_person, register
from tests.running_site import IN_A_ZONE
from tests.waiting import eventually

pytestmark = pytest.mark.outage
MACHINE = {
    "name": "Nightly job",
    "authorization_grant_type": "client-credentials",
    "scopes": ["tracker"],
    "acts": True,
}


@pytest.fixture(scope="module")
def machine(site) -> tuple[str, str]:
    add_person(site)
    return register(site, MACHINE)[0]


def ask(site, machine):
    form = {"grant_type": "client_credentials", "scope": "tracker"}
    return httpx.post(site.url("/o/token"), data=form, auth=machine, timeout=30)


def test_tokens_are_refused_as_unavailable_and_work_again(site, servers, machine) -> None:
    token = ask(site, machine).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert site.get("/api/todos", headers=headers).status_code == 200

    servers.stop("primary")
    eventually(lambda: site.get("/api/todos", headers=headers).status_code == 503)
    began = time.monotonic()
    answers = [site.get("/api/todos", headers=headers) for _ in range(10)]
    asked = ask(site, machine)
    took = time.monotonic() - began

    for answer in (*answers, asked):
        assert answer.status_code == 503
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) >= 1
    assert took < 11
    # What needs no token and no primary is served on.
    assert site.get(IN_A_ZONE).status_code == 200

    servers.start("primary")
    eventually(lambda: site.get("/api/todos", headers=headers).status_code == 200)
    assert ask(site, machine).status_code == 200
