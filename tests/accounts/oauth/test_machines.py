"""Clients that act as nobody: told that a person is needed, wherever one is."""

from __future__ import annotations

import pytest

from common.access import USER_SCOPES
from tests.accounts.oauth.flows import a_machine, call

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/users/me"),
        ("PATCH", "/api/users/me"),
        ("GET", "/api/conversations"),
        ("GET", "/api/servers"),
        ("GET", "/api/rooms/unread"),
        ("GET", "/api/todos"),
    ],
)
def test_a_machine_is_told_that_a_user_is_needed(method, path) -> None:
    scopes = sorted(map(str, USER_SCOPES))
    machine = a_machine(scopes=tuple(scopes))
    token = machine.token(grant_type="client_credentials", scope=" ".join(scopes)).json()

    answer = call(token["access_token"], path, method, data=b"{}", content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (403, "access.user_needed")
