"""Up to when a sink has everything: for readers who must not miss their own writes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from django.db import connections, router

from outbox.events import SHARDS
from outbox.models import DeadLetter, OutboxEvent

# One look at the beginning of each shard's part of the key, whatever waits behind it.
_OLDEST: Final = """
SELECT min(first.created_at) FROM generate_series(0, %s) AS shards(shard) CROSS JOIN LATERAL (
    SELECT created_at FROM outbox_outboxevent
    WHERE sink = %s AND outbox_outboxevent.shard = shards.shard ORDER BY id LIMIT 1
) AS first
"""


def gave_up(sink: str, aggregate_types: Collection[str]) -> bool:
    """Tell whether dead letters lie about: changes of these aggregates that `sink` may not have."""
    letters = DeadLetter.objects.using(router.db_for_write(DeadLetter))
    return letters.filter(sink=sink, aggregate_type__in=aggregate_types).exists()


def waiting_since(sink: str) -> datetime | None:
    """Return when the oldest event was recorded that `sink` does not have yet, by the database's
    clock; None where nothing waits.

    Committed events that were recorded seconds before that moment were delivered, or given up as
    dead letters.
    """
    with connections[router.db_for_write(OutboxEvent)].cursor() as cursor:
        cursor.execute(_OLDEST, [SHARDS - 1, sink])
        row = cursor.fetchone()
    found: datetime | None = row[0] if row else None
    return found
