"""Everybody who may knock: one column of the matrix each.

To add a column (a token with the wrong scope, a session that expired), add a function here and its
name to `STRANGERS`, `MEMBERS` or an audience of tests/access/expectations.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.test import Client

from accounts.models import User
from accounts.roles.definitions import ROLES
from tests.people import a_superuser, a_user, an_operator, signed_in, with_role

COLLECTOR_TOKEN: Final = "the-token-of-the-collector"


def _nobody() -> Client:
    return Client()


def _signed_out() -> Client:
    """Return somebody with the cookie of a session that has ended."""
    client = signed_in(with_role("operator", "signed-out@example.com"))
    cookie = client.cookies["sessionid"].value
    client.logout()
    client.cookies["sessionid"] = cookie
    return client


def _deactivated() -> Client:
    """Return somebody whose account was closed after signing in."""
    client = signed_in(with_role("operator", "deactivated@example.com"))
    User.objects.filter(email="deactivated@example.com").update(is_active=False)
    return client


def _wrong_token() -> Client:
    return Client(headers={"authorization": "Bearer a-token-that-nobody-gave-out"})


def _collector() -> Client:
    return Client(headers={"authorization": f"Bearer {COLLECTOR_TOKEN}"})


def _of_role(name: str) -> Callable[[], Client]:
    return lambda: signed_in(with_role(name))


CALLERS: Final[dict[str, Callable[[], Client]]] = {
    "nobody": _nobody,
    "signed out": _signed_out,
    "deactivated": _deactivated,
    "wrong token": _wrong_token,
    "collector": _collector,
    "member": lambda: signed_in(a_user()),
    **{name: _of_role(name) for name in ROLES if name != "member"},
    "staff without a role": lambda: signed_in(an_operator(email="staff@example.com")),
    "superuser": lambda: signed_in(a_superuser()),
}
STRANGERS: Final = frozenset({"nobody", "signed out", "deactivated", "wrong token"})
"""For whom everything is as for somebody who never signed in."""
MACHINES: Final = frozenset({"collector"})
"""Those that have a token and no account: pages take them for strangers."""
STAFF: Final = frozenset(CALLERS) - STRANGERS - MACHINES - {"member"}
