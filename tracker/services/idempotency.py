"""A POST that is sent twice happens once: the second gets the first one's answer.

The answer is stored in the transaction of what it answers. Whoever sends the same key meanwhile
waits for that transaction at the table's unique constraint, then finds its answer.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder

from common.errors import PolystoreError
from databases.transactions import atomic_for
from tracker.models import IdempotencyKey

KEPT_FOR: Final = dt.timedelta(hours=24)
LONGEST_KEY: Final = 200
AT_ONCE: Final = 10_000


class KeyUsedOtherwise(PolystoreError):
    """The same key came before with another operation or body."""

    code, status, title = "tracker.idempotency_key_reused", 422, "Idempotency key reused"
    remedy = "Send a new Idempotency-Key with each new request."


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a request is answered with."""

    body: Any
    """JSON values."""
    replayed: bool
    """It is the answer that an earlier request with this key got."""


def once(
    *,
    user_id: UUID,
    key: str,
    operation: str,
    body: Any,
    perform: Callable[[], Any],
    at: dt.datetime,
) -> Answer:
    """Perform, or return what was answered when this user sent the key before.

    What raises is not remembered: the same key may be tried again.

    :param operation: method and path.
    :param body: JSON values of the request.
    :param perform: does it and returns the answer's JSON values.
    :param at: now.
    :raises KeyUsedOtherwise: 422, for the key of another request.
    """
    fingerprint = _fingerprint(operation, body)
    with atomic_for("tracker"):
        mine = IdempotencyKey(user_id=user_id, key=key, fingerprint=fingerprint, created_at=at)
        IdempotencyKey.objects.filter(user_id=user_id, key=key).older_than(at - KEPT_FOR).delete()
        IdempotencyKey.objects.bulk_create([mine], ignore_conflicts=True)
        known = IdempotencyKey.objects.select_for_update().get(user_id=user_id, key=key)
        if known.pk == mine.pk:
            known.answer = perform()
            known.save(update_fields=["answer"])
            return Answer(body=known.answer, replayed=False)
    if known.fingerprint != fingerprint:
        raise KeyUsedOtherwise("This Idempotency-Key was sent with another request.")
    return Answer(body=known.answer, replayed=True)


def prune_keys(*, at: dt.datetime) -> int:
    """Forget the answers that were given more than a day ago; return how many.

    :param at: now.
    """
    total = 0
    while True:
        old = IdempotencyKey.objects.older_than(at - KEPT_FOR).order_by("created_at")
        some = list(old.values_list("pk", flat=True)[:AT_ONCE])
        deleted, _ = IdempotencyKey.objects.filter(pk__in=some).delete()
        total += deleted
        if len(some) < AT_ONCE:
            return total


def _fingerprint(operation: str, body: Any) -> str:
    text = json.dumps([operation, body], cls=DjangoJSONEncoder, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
