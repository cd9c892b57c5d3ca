"""What operators do with the queue: pause, resume, put dead letters back, delete old ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from databases.placement import alias_of
from databases.transactions import atomic_for
from outbox.delivery.settling import tell
from outbox.events import shard_of
from outbox.models import DeadLetter, DeliveredEvent, DeliveryState, OutboxEvent
from outbox.recording import APP
from outbox.wake import hint_after_commit

AT_ONCE: Final = 500
"""Rows of one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How much was deleted."""

    dead_letters: int
    delivered: int


def pause(*, by: str, reason: str, at: datetime) -> bool:
    """Stop delivery within about a second; the site goes on writing. False: it was paused."""
    return _set_state(paused_at=at, paused_by=by, reason=reason, was_paused=False)


def resume() -> bool:
    """Let delivery go on; False where it was not paused."""
    return _set_state(paused_at=None, paused_by="", reason="", was_paused=True)


def state() -> DeliveryState:
    """Return epoch and pause; the defaults where no row is there yet."""
    return DeliveryState.objects.using(alias_of(APP)).first() or DeliveryState()


def dead_letters() -> QuerySet[DeadLetter]:
    """Return all dead letters, newest first."""
    return DeadLetter.objects.using(alias_of(APP)).order_by("-failed_at", "-id")


def replay(letters: QuerySet[DeadLetter]) -> int:
    """Put these dead letters back into the queue as the events that they were, due now.

    Each keeps its id: a new one, given without the lock of the row, would hide an older event of a
    transaction that has the lock and commits later. It keeps its moment and headers, too.

    :returns: how many.
    """
    ids = list(letters.order_by("id").values_list("id", flat=True))
    done = 0
    for start in range(0, len(ids), AT_ONCE):
        done += _replay(ids[start : start + AT_ONCE])
    return done


def prune(*, at: datetime | None = None) -> Pruned:
    """Delete dead letters and history older than OUTBOX_RETENTION_DAYS, a few at a time."""
    before = (at or timezone.now()) - timedelta(days=settings.OUTBOX_RETENTION_DAYS)
    alias = alias_of(APP)
    dead: QuerySet[Any] = DeadLetter.objects.using(alias).filter(failed_at__lt=before)
    delivered: QuerySet[Any] = DeliveredEvent.objects.using(alias).filter(delivered_at__lt=before)
    return Pruned(
        dead_letters=sum(_in_parts(dead, "failed_at")),
        delivered=sum(_in_parts(delivered, "delivered_at")),
    )


def _replay(ids: Sequence[int]) -> int:
    with atomic_for(APP):
        letters = list(
            DeadLetter.objects.using(alias_of(APP))
            .filter(pk__in=ids)
            .order_by("id")
            .select_for_update()
        )
        OutboxEvent.objects.using(alias_of(APP)).bulk_create([_event_of(one) for one in letters])
        hint_after_commit(*{one.sink for one in letters})
        DeadLetter.objects.using(alias_of(APP)).filter(pk__in=[one.pk for one in letters]).delete()
    for sink, kind in {(letter.sink, letter.kind) for letter in letters}:
        if not dead_letters().filter(sink=sink, kind=kind).exists():
            tell(sink, kind, recovered=True)
    return len(letters)


def _event_of(letter: DeadLetter) -> OutboxEvent:
    """Return the event as a retry whose time has come: scans for new ones have passed its id."""
    return OutboxEvent(
        id=letter.pk,
        sink=letter.sink,
        shard=shard_of(letter.aggregate_type, letter.aggregate_id),
        aggregate_type=letter.aggregate_type,
        aggregate_id=letter.aggregate_id,
        type=letter.type,
        schema=letter.schema,
        payload=letter.payload,
        headers=letter.headers,
        created_at=letter.created_at,
        attempts=1,
        next_at=timezone.now(),
        error=letter.kind,
    )


def _in_parts(rows: QuerySet[Any], order: str) -> Iterator[int]:
    while True:
        some = list(rows.order_by(order, "id").values_list("id", flat=True)[:AT_ONCE])
        if not some:
            return
        yield rows.filter(pk__in=some).delete()[0]


def _set_state(*, was_paused: bool, **fields: Any) -> bool:
    alias = alias_of(APP)
    with transaction.atomic(using=alias):
        DeliveryState.objects.using(alias).get_or_create(id=1)
        rows = DeliveryState.objects.using(alias).filter(paused_at__isnull=not was_paused)
        return rows.update(**fields) == 1
