"""Forget what somebody's name or address stands in: history and dead letters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Q, TextField
from django.db.models.functions import Cast

from databases.placement import alias_of
from outbox.models import DeadLetter, DeliveredEvent
from outbox.recording import APP


def forget_texts(texts: Iterable[str]) -> int:
    """Delete delivered events and dead letters that hold one of these texts.

    Events that wait are left: they are on their way to whoever must know.

    :returns: how many were deleted.
    """
    wanted = Q()
    for text in texts:
        wanted |= Q(_payload__icontains=text) | Q(aggregate_id__icontains=text)
    if not wanted:
        return 0
    return sum(_delete(model, wanted) for model in (DeliveredEvent, DeadLetter))


def _delete(model: Any, wanted: Q) -> int:
    rows = model.objects.using(alias_of(APP)).alias(_payload=Cast("payload", TextField()))
    keys = list(rows.filter(wanted).values_list("pk", flat=True))
    deleted: int = model.objects.using(alias_of(APP)).filter(pk__in=keys).delete()[0]
    return deleted
