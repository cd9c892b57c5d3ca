"""Authorizations: ended by the person who gave them, or by an operator."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from uuid import UUID

from accounts.models import Authorization
from accounts.models.oauth import EndReason
from accounts.oauth.services import issuing
from databases.transactions import atomic_for


def end_authorizations(ids: Iterable[UUID], *, at: dt.datetime) -> int:
    """End these authorizations; their tokens are refused from the commit on.

    :returns: how many had not ended before.
    """
    ended = 0
    for each in sorted(ids):
        with atomic_for("accounts"):
            ended += issuing.end(issuing.locked(each), reason=EndReason.REVOKED, at=at)
    return ended


def end_access_of(*, user_id: UUID, client_id: UUID, at: dt.datetime) -> int:
    """End all that this user allowed this client; return how many authorizations that were."""
    rows = Authorization.objects.filter(user_id=user_id, client_id=client_id, revoked_at=None)
    return end_authorizations(rows.values_list("pk", flat=True), at=at)
