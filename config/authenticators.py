"""How a caller is recognised. `AUTHENTICATORS` in the settings lists these, in order."""

from __future__ import annotations

import hmac
from typing import Final

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils import timezone

from accounts.oauth.queries import holder_of
from accounts.oauth.services.personal import note_use
from accounts.roles.asking import scopes_of
from common.access import SESSION, Identity, Scope, TokenRefused
from common.csrf import require_csrf

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_BEARER: Final = "bearer "


def metrics_token(request: HttpRequest) -> Identity | None:
    """Recognise the collector of metrics: METRICS_TOKEN counts as staff for operations only."""
    expected = settings.METRICS_TOKEN
    given = bearer(request)
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        return None
    return Identity(
        user=None, scopes=frozenset({Scope.OPERATIONS}), is_staff=True, by="metrics token"
    )


def access_token(request: HttpRequest) -> Identity | None:
    """Recognise the holder of an access token or a personal token, by the header Authorization.

    Asks the primary each time, by one query, so that a token ends with the commit that ends it;
    while the primary does not answer, neither does this: 503. Needs no session and no CSRF token.
    Whoever reads `request.user` meets the token's user, whatever cookies came along.

    :raises TokenRefused: 401, for a token that is not valid (any more).
    """
    given = bearer(request)
    if not given:
        return None
    at = timezone.now()
    holder = holder_of(given, at=at)
    if holder is None:
        raise TokenRefused
    if holder.client is None:
        note_use(token_id=holder.token_id, last_used_at=holder.last_used_at, at=at)
    request.user = holder.user or AnonymousUser()
    return Identity(
        user=holder.user,
        scopes=holder.scopes,
        is_staff=holder.user is not None and holder.user.is_staff,
        by="personal token" if holder.client is None else "access token",
    )


def session(request: HttpRequest) -> Identity | None:
    """Recognise a signed-in browser. It holds every scope that its user may have.

    A request that carries a bearer token is judged by the token alone.

    :raises CsrfRefused: 403, for unsafe methods without a valid CSRF token.
    """
    user = request.user if not bearer(request) else None
    if user is None or not user.is_authenticated or not user.is_active:
        return None
    if request.method not in _SAFE:
        require_csrf(request)
    return Identity(user=user, scopes=scopes_of(user), is_staff=bool(user.is_staff), by=SESSION)


def bearer(request: HttpRequest) -> str:
    """Return the bearer token that the request carries, or ""."""
    header = request.headers.get("Authorization", "")
    return header[len(_BEARER) :].strip() if header.lower().startswith(_BEARER) else ""
