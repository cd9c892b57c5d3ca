"""Whose token is this? Asked of the primary with every request that carries one, by checksum."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import router
from django.db.models import QuerySet

from accounts.models import AccessToken, Authorization, Client, PersonalToken, RefreshToken, User
from accounts.models.oauth import checksum_of
from accounts.models.tokens import PERSONAL_PREFIX
from accounts.roles import asking
from common.access import USER_SCOPES, Scope, known_scopes

ACCESS_PREFIX: Final = "psa_"
REFRESH_PREFIX: Final = "psr_"
CODE_PREFIX: Final = "psc_"
LONGEST: Final = 200
"""Characters of the longest value that can be one of ours, with room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Whom a valid token stands for."""

    user: User | None
    """None: a client that acts as nobody."""
    client: Client | None
    """None: a token that its user made."""
    scopes: frozenset[Scope]
    token_id: UUID
    issued_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = None
    """Of personal tokens."""


def credentials_of(user: User | None, client: Client) -> str:
    """Return what changes when the user's password, or the client's secret, does."""
    return checksum_of(client.client_secret if user is None else user.password)


def holder_of(value: str, *, at: datetime) -> Holder | None:
    """Return whom this token stands for now; None where it is unknown, over or ended.

    One query of the primary, and none for values that cannot be tokens of ours. A token is dead as
    soon as its user is inactive or has another password, its client is inactive, or its
    authorization was ended, whoever changed those rows.

    :param at: now.
    """
    if len(value) > LONGEST:
        return None
    if value.startswith(ACCESS_PREFIX):
        return _of_access_token(value, at)
    if value.startswith(PERSONAL_PREFIX):
        return _of_personal_token(value, at)
    return None


def is_in_force(authorization: Authorization) -> bool:
    """Tell whether what was allowed still holds, by rows that were just read."""
    client, user = authorization.client, authorization.user
    if authorization.revoked_at is not None or not client.is_active:
        return False
    actor = acting_user(authorization)
    return (actor is None or actor.is_active) and hmac.compare_digest(
        authorization.credentials, credentials_of(user, client)
    )


def acting_user(authorization: Authorization) -> User | None:
    """Return who allowed it; for client credentials, as whom the client acts."""
    return authorization.user or authorization.client.user


def scopes_of(user: User | None) -> frozenset[Scope]:
    """Return what a token of this user may hold at most; None stands for a machine."""
    return USER_SCOPES if user is None else asking.scopes_of(user)


def effective_scopes(names: Sequence[str], user: User | None, client: Client) -> frozenset[Scope]:
    """Return which of these scopes hold now: those that the client and the user still may have."""
    return known_scopes(names) & known_scopes(client.scopes) & scopes_of(user)


def authorizations() -> QuerySet[Authorization]:
    """Return all authorizations, on the primary, with client and users."""
    return Authorization.objects.using(_primary()).select_related("client__user", "user")


def refresh_token_of(value: str) -> RefreshToken | None:
    """Return the row of this refresh token, used or not, with what it hangs on."""
    rows = RefreshToken.objects.using(_primary())
    found: RefreshToken | None = (
        rows.filter(checksum=checksum_of(value))
        .select_related("authorization__client__user", "authorization__user")
        .first()
    )
    return found


def personal_tokens_of(user_id: UUID) -> QuerySet[PersonalToken]:
    """Return the user's own tokens that nobody revoked, newest first; expired ones too."""
    return PersonalToken.objects.using(_primary()).filter(user_id=user_id, revoked_at=None)


def allowed_by(user_id: UUID) -> QuerySet[Authorization]:
    """Return what this user allowed and did not end, newest first."""
    return authorizations().filter(user_id=user_id, revoked_at=None)


def _of_access_token(value: str, at: datetime) -> Holder | None:
    row = (
        AccessToken.objects.using(_primary())
        .filter(checksum=checksum_of(value))
        .select_related("authorization__client__user", "authorization__user")
        .first()
    )
    if row is None or row.is_expired(at) or not is_in_force(row.authorization):
        return None
    user, client = acting_user(row.authorization), row.authorization.client
    return Holder(
        user=user,
        client=client,
        scopes=effective_scopes(row.scopes, user, client),
        token_id=row.pk,
        issued_at=row.created_at,
        expires_at=row.expires_at,
    )


def _of_personal_token(value: str, at: datetime) -> Holder | None:
    rows = PersonalToken.objects.using(_primary()).select_related("user")
    row = rows.filter(checksum=checksum_of(value)).first()
    if row is None or not row.is_live(at) or not row.user.is_active:
        return None
    if not hmac.compare_digest(row.credentials, checksum_of(row.user.password)):
        return None
    return Holder(
        user=row.user,
        client=None,
        scopes=known_scopes(row.scopes) & scopes_of(row.user),
        token_id=row.pk,
        issued_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )


def _primary() -> Any:
    return router.db_for_write(AccessToken)
