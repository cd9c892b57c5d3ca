"""The endpoints of OAuth 2, each in one transaction of the primary."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, cast
from urllib.parse import unquote_plus
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from oauth2_provider.oauth2_backends import get_oauthlib_core
from oauthlib.common import Request as ProtocolRequest

from accounts.models import Client
from accounts.oauth.queries import (
    REFRESH_PREFIX,
    Holder,
    acting_user,
    effective_scopes,
    holder_of,
    is_in_force,
    refresh_token_of,
)
from accounts.oauth.services.server import Core
from accounts.sessions.current import current_session
from accounts.sessions.services import require_living
from common.errors import PolystoreError
from databases.transactions import atomic_for

APP: Final = "accounts"
LONGEST_NAME: Final = 100
"""Of a client, as it is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the library wants to be answered."""

    body: str
    status: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request for consent that may be put before a person."""

    client: Client
    scopes: tuple[str, ...]
    redirect_uri: str
    credentials: dict[str, Any]
    """The library's."""


class ClientNotRecognised(PolystoreError):
    """The client did not prove who it is."""

    code, status, title = "oauth.invalid_client", 401, "Client not recognised"
    remedy = "Send client id and secret, as HTTP Basic or in the form."


class MayNotIntrospect(PolystoreError):
    """The client is known, and may not ask about tokens."""

    code, status, title = "oauth.may_not_introspect", 403, "This client may not ask about tokens"
    remedy = "Ask an operator to allow it in the admin."


@cache
def core() -> Core:
    """Return the library, set up once per process; it keeps nothing of a request."""
    made: Core = get_oauthlib_core()
    return made


def question_of(request: HttpRequest) -> Question:
    """Return what a client asks a person for.

    :raises oauth2_provider.exceptions.FatalClientError: where nobody may be redirected.
    :raises oauth2_provider.exceptions.OAuthToolkitError: where the client is to be told.
    :raises ValueError: for a query that cannot be decoded.
    """
    scopes, credentials = core().validate_authorization_request(request)
    return Question(
        client=credentials["request"].client,
        scopes=tuple(scopes),
        redirect_uri=credentials["redirect_uri"],
        credentials=credentials,
    )


def decide(request: HttpRequest, question: Question, *, allow: bool) -> str:
    """Return the address that takes the person back to the client, with a code where they allowed.

    :raises oauth2_provider.exceptions.OAuthToolkitError: where they did not; the client is told.
    :raises common.access.SignInNeeded: where their session has ended meanwhile.
    """
    session_id = current_session(request)
    with atomic_for(APP):
        if allow and session_id is not None:
            require_living(user_id=cast("UUID", request.user.pk), session_id=session_id)
        uri, _, _, _ = core().create_authorization_response(
            request, list(question.scopes), question.credentials, allow
        )
    return str(uri)


def named_in(request: HttpRequest) -> str:
    """Return the client that a request says it comes from, known or not; "" where it says none."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return request.POST.get("client_id", "")[:LONGEST_NAME]
    try:
        found = base64.b64decode(credentials, validate=True).decode()
    except ValueError:
        return ""
    return unquote_plus(found.partition(":")[0])[:LONGEST_NAME]


def give_token(request: HttpRequest) -> Answer:
    """Answer a request for tokens. What reuse ended stays ended, though the answer is a refusal."""
    with atomic_for(APP):
        _, headers, body, status = core().create_token_response(request)
    return Answer(body=body or "", status=status, headers=headers)


def revoke(request: HttpRequest) -> Answer:
    """Answer a client that has no more use for a token (RFC 7009)."""
    with atomic_for(APP):
        _, headers, body, status = core().create_revocation_response(request)
    return Answer(body=body or "", status=status, headers=headers)


def introspect(request: HttpRequest, *, token: str) -> dict[str, Any]:
    """Tell a client that may know whether a token is valid, and for what (RFC 7662).

    :raises ClientNotRecognised: 401.
    :raises MayNotIntrospect: 403.
    """
    asked = ProtocolRequest(*core()._extract_params(request))
    if not core().server.request_validator.authenticate_client(asked):
        raise ClientNotRecognised
    if not asked.client.may_introspect:
        raise MayNotIntrospect
    at = timezone.now()
    if token.startswith(REFRESH_PREFIX):
        return _of_refresh_token(token)
    holder = holder_of(token, at=at)
    return {"active": False} if holder is None else _told(holder) | {"token_type": "Bearer"}


def _of_refresh_token(token: str) -> dict[str, Any]:
    found = refresh_token_of(token)
    at = timezone.now()
    if found is None or found.used_at is not None or found.is_expired(at):
        return {"active": False}
    authorization = found.authorization
    if not is_in_force(authorization):
        return {"active": False}
    user, client = acting_user(authorization), authorization.client
    return _told(
        Holder(
            user=user,
            client=client,
            scopes=effective_scopes(authorization.scopes, user, client),
            token_id=found.pk,
            issued_at=found.created_at,
            expires_at=found.expires_at,
        )
    )


def _told(holder: Holder) -> dict[str, Any]:
    """Return what RFC 7662 names; ids alone, no address and no name of a person."""
    told: dict[str, Any] = {
        "active": True,
        "scope": " ".join(sorted(holder.scopes)),
        "iat": int(holder.issued_at.timestamp()),
        "exp": int(holder.expires_at.timestamp()),
    }
    if holder.client is not None:
        told["client_id"] = holder.client.client_id
    if holder.user is not None:
        told["sub"] = str(holder.user.pk)
    return told
