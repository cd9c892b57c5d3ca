"""Codes and tokens: given out once, swapped once, ended together.

Every function here runs in the caller's transaction of the primary, so that what was given out,
what was used up and what the audit trail is told are committed together.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from django.conf import settings

from accounts.models import (
    AccessToken,
    Authorization,
    AuthorizationCode,
    Client,
    RefreshToken,
    User,
)
from accounts.models.oauth import EndReason, checksum_of
from accounts.oauth import events
from accounts.oauth.queries import (
    ACCESS_PREFIX,
    CODE_PREFIX,
    REFRESH_PREFIX,
    authorizations,
    credentials_of,
    is_in_force,
)

RANDOM_BYTES: Final = 32
Claimed = TypeVar("Claimed", AuthorizationCode, RefreshToken)


def new_access_token(request: object = None, refresh_token: object = None) -> str:
    """Return a random value; the parameters are the library's."""
    return ACCESS_PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def new_refresh_token(request: object = None, refresh_token: object = None) -> str:
    """Return a random value; the parameters are the library's."""
    return REFRESH_PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def new_code() -> str:
    """Return a random value."""
    return CODE_PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person allowed, as the code will say it."""

    client: Client
    user: User
    scopes: Sequence[str]
    redirect_uri: str
    code_challenge: str
    """S256, or ""."""


def issue_code(*, value: str, asked: Asked, at: dt.datetime) -> AuthorizationCode:
    """Keep the checksum of a code for what a person allowed just now."""
    authorization = _authorize(asked.client, asked.user, asked.scopes, at)
    return AuthorizationCode.objects.create(
        checksum=checksum_of(value),
        authorization=authorization,
        redirect_uri=asked.redirect_uri,
        code_challenge=asked.code_challenge,
        created_at=at,
        expires_at=at + dt.timedelta(seconds=settings.OAUTH_CODE_SECONDS),
    )


def claim_code(*, value: str, client: Client, at: dt.datetime) -> AuthorizationCode | None:
    """Return the code's row, its authorization locked, if it may be swapped for tokens.

    Of several requests with one code the first gets it. The others, and any later one, end the
    authorization and every token that came of it.

    :returns: None for codes that are unknown, another client's, expired or used.
    """
    return _claimed(AuthorizationCode, value, client, reused=EndReason.CODE_REUSED, at=at)


def claim_refresh_token(*, value: str, client: Client, at: dt.datetime) -> RefreshToken | None:
    """Return the refresh token's row, its authorization locked, if it may be swapped.

    As with codes: the first wins, and whoever comes with it again ends the whole family.

    :returns: None for tokens that are unknown, another client's, expired, used or ended.
    """
    return _claimed(RefreshToken, value, client, reused=EndReason.REFRESH_REUSED, at=at)


def swap(
    *, used: AuthorizationCode | RefreshToken, tokens: dict[str, Any], at: dt.datetime
) -> None:
    """Use up a claimed code or refresh token and keep the checksums of what it was swapped for.

    :param tokens: the library's answer: `access_token`, `refresh_token`, `scope`, `expires_in`.
    """
    used.used_at = at
    used.save(update_fields=["used_at"])
    authorization = used.authorization
    _keep_access_token(authorization, tokens, at)
    RefreshToken.objects.create(
        checksum=checksum_of(tokens["refresh_token"]),
        authorization=authorization,
        created_at=at,
        expires_at=at + dt.timedelta(days=settings.OAUTH_REFRESH_TOKEN_DAYS),
    )
    _tell_issued(
        authorization,
        tokens,
        "authorization_code" if isinstance(used, AuthorizationCode) else "refresh_token",
    )


def issue_to_client(*, client: Client, tokens: dict[str, Any], at: dt.datetime) -> None:
    """Keep the checksum of a token that a client got for its own credentials."""
    authorization = _authorize(client, None, tokens["scope"].split(), at)
    _keep_access_token(authorization, tokens, at)
    _tell_issued(authorization, tokens, "client_credentials")


def end(authorization: Authorization, *, reason: EndReason, at: dt.datetime) -> bool:
    """End a locked authorization with all that came of it, and tell of it.

    :returns: False where it had ended already.
    """
    ended_before = authorization.revoked_at is not None
    if not ended_before:
        authorization.revoked_at = at
        authorization.reason = reason
        authorization.save(update_fields=["revoked_at", "reason"])
    kind = events.TOKEN_REVOKED if reason is EndReason.REVOKED else events.TOKEN_REUSE_DETECTED
    if not ended_before or reason is not EndReason.REVOKED:
        events.tell(kind, authorization.pk, _payload(authorization) | {"reason": reason.value})
    return not ended_before


def locked(authorization_id: Any) -> Authorization:
    """Return the authorization as it is now, locked until the transaction ends."""
    Authorization.objects.select_for_update(no_key=True).get(pk=authorization_id)
    # Read after the lock was had, with the rows that decide whether it is in force.
    return authorizations().get(pk=authorization_id)


def _claimed(
    model: type[Claimed], value: str, client: Client, *, reused: EndReason, at: dt.datetime
) -> Claimed | None:
    found = model.objects.filter(checksum=checksum_of(value), authorization__client=client).first()
    if found is None:
        return None
    authorization = locked(found.authorization_id)
    found.refresh_from_db()
    found.authorization = authorization
    if found.used_at is not None:
        end(authorization, reason=reused, at=at)
        return None
    return None if found.is_expired(at) or not is_in_force(authorization) else found


def _authorize(
    client: Client, user: User | None, scopes: Sequence[str], at: dt.datetime
) -> Authorization:
    return Authorization.objects.create(
        client=client,
        user=user,
        scopes=sorted(set(scopes)),
        credentials=credentials_of(user, client),
        created_at=at,
    )


def _keep_access_token(
    authorization: Authorization, tokens: dict[str, Any], at: dt.datetime
) -> None:
    AccessToken.objects.create(
        checksum=checksum_of(tokens["access_token"]),
        authorization=authorization,
        scopes=sorted(set(tokens["scope"].split())),
        created_at=at,
        expires_at=at + dt.timedelta(seconds=tokens["expires_in"]),
    )


def _tell_issued(authorization: Authorization, tokens: dict[str, Any], grant_type: str) -> None:
    payload = _payload(authorization) | {
        "scopes": sorted(set(tokens["scope"].split())),
        "grant_type": grant_type,
    }
    events.tell(events.TOKEN_ISSUED, authorization.pk, payload)


def _payload(authorization: Authorization) -> dict[str, Any]:
    user_id = authorization.user_id
    return {
        "kind": "oauth",
        "client_id": authorization.client.client_id,
        "user_id": None if user_id is None else str(user_id),
    }
