"""Everybody who may knock: one column of the matrix each.

To add a column (a token with the wrong scope, a session that expired), add a function here and its
name to `STRANGERS`, `MEMBERS` or an audience of tests/access/expectations.py.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Final

from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.models import PersonalToken, User
from accounts.oauth.services import personal
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


def _token(*scopes: str, email: str) -> tuple[PersonalToken, str]:
    user = a_user(email)
    made = personal.create_token(
        user_id=user.pk, name="matrix", scopes=scopes, days=1, at=timezone.now()
    )
    return made.token, made.value


def _tracker_token() -> Client:
    """Return somebody's program that may do nothing but the tracker."""
    _, value = _token("tracker", email="program@example.com")
    return Client(headers={"authorization": f"Bearer {value}"})


def _revoked_token() -> Client:
    token, value = _token("tracker", email="revoked@example.com")
    personal.revoke_token(user_id=token.user_id, token_id=token.pk, at=timezone.now())
    return Client(headers={"authorization": f"Bearer {value}"})


def _expired_token() -> Client:
    token, value = _token("tracker", email="expired@example.com")
    then = timezone.now() - timedelta(days=2)
    PersonalToken.objects.filter(pk=token.pk).update(
        created_at=then, expires_at=then + timedelta(days=1)
    )
    return Client(headers={"authorization": f"Bearer {value}"})


def _expired_session() -> Client:
    """Return somebody whose session was begun for a time that is over."""
    client = signed_in(with_role("operator", "expired-session@example.com"))
    key = client.cookies["sessionid"].value
    session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    session.set_expiry(timezone.now() - timedelta(seconds=1))
    session.save()
    return client


def _of_role(name: str) -> Callable[[], Client]:
    return lambda: signed_in(with_role(name))


CALLERS: Final[dict[str, Callable[[], Client]]] = {
    "nobody": _nobody,
    "signed out": _signed_out,
    "deactivated": _deactivated,
    "expired session": _expired_session,
    "wrong token": _wrong_token,
    "revoked token": _revoked_token,
    "expired token": _expired_token,
    "tracker token": _tracker_token,
    "collector": _collector,
    "member": lambda: signed_in(a_user()),
    **{name: _of_role(name) for name in ROLES if name != "member"},
    "staff without a role": lambda: signed_in(an_operator(email="staff@example.com")),
    "superuser": lambda: signed_in(a_superuser()),
}
STRANGERS: Final = frozenset({
    "nobody", "signed out", "deactivated", "expired session", "wrong token", "revoked token",
    "expired token",
})  # fmt: skip
"""For whom everything is as for somebody who never signed in."""
MACHINES: Final = frozenset({"collector", "tracker token"})
"""Those that have a token: pages take them for strangers."""
STAFF: Final = frozenset(CALLERS) - STRANGERS - MACHINES - {"member"}
