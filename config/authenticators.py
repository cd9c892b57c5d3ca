"""How a caller is recognised. `AUTHENTICATORS` in the settings lists these, in order."""

from __future__ import annotations

import hmac
from typing import Final

from django.conf import settings
from django.http import HttpRequest
from ninja.utils import check_csrf

from accounts.roles.asking import scopes_of
from common.access import Identity, Scope
from common.errors import PolystoreError

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_BEARER: Final = "bearer "


class CsrfRefused(PolystoreError):
    """A signed-in browser sent a change without the token that proves its page is ours."""

    code, status, title = "access.csrf", 403, "CSRF token missing or wrong"
    remedy = "Send the value of the cookie `csrftoken` in the header X-CSRFToken."


def metrics_token(request: HttpRequest) -> Identity | None:
    """Recognise the collector of metrics: METRICS_TOKEN counts as staff for operations only."""
    expected = settings.METRICS_TOKEN
    given = bearer(request)
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        return None
    return Identity(
        user=None, scopes=frozenset({Scope.OPERATIONS}), is_staff=True, by="metrics token"
    )


def session(request: HttpRequest) -> Identity | None:
    """Recognise a signed-in browser. It holds every scope that its user may have.

    A request that carries a bearer token is judged by the token alone.

    :raises CsrfRefused: 403, for unsafe methods without a valid CSRF token.
    """
    user = request.user if not bearer(request) else None
    if user is None or not user.is_authenticated or not user.is_active:
        return None
    if request.method not in _SAFE and check_csrf(request) is not None:
        raise CsrfRefused
    return Identity(user=user, scopes=scopes_of(user), is_staff=bool(user.is_staff), by="session")


def bearer(request: HttpRequest) -> str:
    """Return the bearer token that the request carries, or ""."""
    header = request.headers.get("Authorization", "")
    return header[len(_BEARER) :].strip() if header.lower().startswith(_BEARER) else ""
