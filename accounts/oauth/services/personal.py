"""Personal tokens: made by people for their own programs, shown once."""

from __future__ import annotations

import datetime as dt
import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import router
from django.db.models import QuerySet
from django.db.utils import Error

from accounts.models import PersonalToken, User
from accounts.models.oauth import checksum_of
from accounts.models.tokens import HINT_LENGTH, PERSONAL_PREFIX
from accounts.oauth import events
from accounts.oauth.queries import scopes_of
from accounts.sessions.services import require_living
from common.access import known_scopes
from common.errors import PolystoreError
from databases.causality import CausalState, causal_scope
from databases.transactions import atomic_for

logger = logging.getLogger("accounts.oauth")

BETWEEN_USES: Final = dt.timedelta(minutes=1)
"""Uses within it are noted once."""
MOST: Final = 50
"""Live tokens of one user."""


class TokenNotFound(PolystoreError):
    """The user has no such token."""

    code, status, title = "tokens.not_found", 404, "Token not found"
    remedy = "List your tokens for their ids."


class TokenRefused(PolystoreError):
    """The token that was asked for cannot be made."""

    code, status, title = "tokens.refused", 422, "The token cannot be made"
    remedy = "Give it a name, scopes that you may have, and a life within the limit."


class TooManyTokens(PolystoreError):
    """The user has as many live tokens as anybody may."""

    code, status, title = "tokens.too_many", 409, "Too many tokens"
    remedy = "Revoke tokens that you no longer use."


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token that was just made. Its value is known here and nowhere else."""

    token: PersonalToken
    value: str


def create_token(
    *,
    user_id: UUID,
    name: str,
    scopes: Iterable[str],
    days: int,
    at: dt.datetime,
    session_id: UUID | None = None,
) -> NewToken:
    """Make a token for a user's own programs.

    :param days: how long it is valid.
    :param at: now.
    :param session_id: the session that asks; None where an operator's code does.
    :raises common.access.SignInNeeded: 401, where that session has ended meanwhile.
    :raises TokenRefused: 422, for no name, a scope that the user may not have, or too long a life.
    :raises TooManyTokens: 409.
    """
    name, wanted = name.strip(), set(scopes)
    most = settings.PERSONAL_TOKEN_MAX_DAYS
    if not 1 <= days <= most:
        raise TokenRefused(f"A token lives from 1 to {most} days.")
    if not name or len(name) > 100 or not name.isprintable():
        raise TokenRefused("A token needs a name of at most 100 characters.")
    value = PERSONAL_PREFIX + secrets.token_urlsafe(32)
    with atomic_for("accounts"):
        if session_id is not None:
            require_living(user_id=user_id, session_id=session_id)
        user = User.objects.select_for_update(no_key=True).get(pk=user_id)
        allowed = known_scopes(wanted) & scopes_of(user)
        if not wanted or wanted != {str(scope) for scope in allowed}:
            raise TokenRefused("Choose at least one scope, and only such as you may have.")
        if _live(user_id, at).count() >= MOST:
            raise TooManyTokens(f"You have {MOST} tokens already.")
        token = PersonalToken.objects.create(
            user=user,
            name=name,
            hint=value[:HINT_LENGTH],
            checksum=checksum_of(value),
            scopes=sorted(wanted),
            credentials=checksum_of(user.password),
            created_at=at,
            expires_at=at + dt.timedelta(days=days),
        )
        events.tell(events.TOKEN_ISSUED, token.pk, _told(token))
    return NewToken(token=token, value=value)


def revoke_token(*, user_id: UUID, token_id: UUID, at: dt.datetime) -> None:
    """End one of the user's tokens; ended ones stay ended.

    :raises TokenNotFound: 404, also for somebody else's.
    """
    mine = PersonalToken.objects.filter(user_id=user_id, pk=token_id)
    if not mine.exists():
        raise TokenNotFound("You have no token with this id.")
    revoke_tokens(mine, at=at)


def revoke_tokens(tokens: QuerySet[PersonalToken], *, at: dt.datetime) -> int:
    """End these tokens; return how many were not revoked before."""
    with atomic_for("accounts"):
        found = list(tokens.filter(revoked_at=None).select_for_update(of=("self",)))
        for token in found:
            token.revoked_at = at
            token.save(update_fields=["revoked_at"])
            events.tell(events.TOKEN_REVOKED, token.pk, _told(token) | {"reason": "revoked"})
    return len(found)


def note_use(*, token_id: UUID, last_used_at: dt.datetime | None, at: dt.datetime) -> None:
    """Write down that a token was used, at most once a minute; never fail and never wait.

    Its own request is answered as if nothing had been written: reads may still use replicas. A
    row that somebody else writes at this moment is left to them.
    """
    if last_used_at is not None and at - last_used_at < BETWEEN_USES:
        return
    using = router.db_for_write(PersonalToken)
    try:
        with causal_scope(CausalState()), atomic_for("accounts"):
            rows = PersonalToken.objects.using(using)
            free = rows.filter(pk=token_id).select_for_update(no_key=True, skip_locked=True)
            for key in free.values_list("pk", flat=True):
                rows.filter(pk=key).update(last_used_at=at)
    except Error as error:
        logger.warning("accounts.token.use_not_noted", extra={"reason": type(error).__name__})


def _live(user_id: UUID, at: dt.datetime) -> QuerySet[PersonalToken]:
    return PersonalToken.objects.filter(user_id=user_id, revoked_at=None, expires_at__gt=at)


def _told(token: PersonalToken) -> dict[str, Any]:
    return {
        "kind": "personal",
        "client_id": None,
        "user_id": str(token.user_id),
        "scopes": list(token.scopes),
    }
