"""What is over is removed, a few rows at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import (
    AccessToken,
    Authorization,
    AuthorizationCode,
    PersonalToken,
    RefreshToken,
)
from databases.transactions import atomic_for

AT_ONCE: Final = 500
"""Rows of one transaction."""
KEPT: Final = dt.timedelta(days=1)
"""How long expired tokens stay."""
KEPT_FOR_PEOPLE: Final = dt.timedelta(days=30)
"""How long people and operators still see what they ended, and their expired tokens."""


def remove_expired(*, at: dt.datetime) -> int:
    """Remove what is over; return how many rows.

    Codes stay as long as the tokens that they may have given, so that a reuse is noticed. An
    authorization goes when nothing hangs on it any more, or a month after its end.

    :param at: now.
    """
    refresh = dt.timedelta(days=settings.OAUTH_REFRESH_TOKEN_DAYS)
    steps: tuple[QuerySet[Any], ...] = (
        AccessToken.objects.filter(expires_at__lt=at - KEPT),
        RefreshToken.objects.filter(expires_at__lt=at - KEPT),
        AuthorizationCode.objects.filter(expires_at__lt=at - KEPT - refresh),
        Authorization.objects.filter(revoked_at__lt=at - KEPT_FOR_PEOPLE),
        _bare(at),
        PersonalToken.objects.filter(
            Q(expires_at__lt=at - KEPT_FOR_PEOPLE) | Q(revoked_at__lt=at - KEPT_FOR_PEOPLE)
        ),
    )
    return sum(sum(_in_parts(rows)) for rows in steps)


def _bare(at: dt.datetime) -> QuerySet[Authorization]:
    """Return authorizations that give nothing any more and can give nothing again."""
    rows = Authorization.objects.filter(created_at__lt=at - KEPT)
    for kind in (AccessToken, RefreshToken, AuthorizationCode):
        rows = rows.filter(~Exists(kind.objects.filter(authorization=OuterRef("pk"))))
    return rows


def _in_parts(rows: QuerySet[Any]) -> Iterator[int]:
    while True:
        with atomic_for("accounts"):
            locking = rows.order_by("pk").select_for_update(of=("self",), skip_locked=True)
            some = list(locking.values_list("pk", flat=True)[:AT_ONCE])
            rows.model._default_manager.filter(pk__in=some).delete()
        yield len(some)
        if len(some) < AT_ONCE:
            return
