"""Deliver to consumers: events in order, and a bad one found by halves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from databases.breaker import AliasUnavailable
from databases.causality import use_primary
from outbox import registry
from outbox.delivery.failures import kind_of, outage_of
from outbox.delivery.outcome import Claimed, Results
from outbox.delivery.projecting import close_broken_connections
from outbox.events import Event
from outbox.registry import Consumer, Undeliverable

NOBODY = "no consumer is told of events of this type"


def deliver(claimed: Sequence[Claimed], *, sink: str, epoch: int) -> Results:
    """Tell every consumer of `sink`; an event is done when all that want it have it."""
    claimed = sorted(claimed, key=lambda one: one.id)
    events = {one.id: _event(one, sink, epoch) for one in claimed}
    failed: dict[int, str] = {}
    hopeless: set[int] = set()
    told: set[int] = set()
    try:
        for consumer in registry.consumers_of(sink):
            wanted = [event for event in events.values() if consumer.wants(event)]
            told.update(event.id for event in wanted)
            _tell(consumer, wanted, failed, hopeless)
    except AliasUnavailable as error:
        # Some may have been told already; they know an event that comes again by its version.
        return Results(outage=error.store)
    results = Results(hopeless=hopeless)
    for one in claimed:
        if one.id not in told and not _meant_for_somebody(one, sink):
            results.failed.append((one, NOBODY))
        elif one.id in failed:
            results.failed.append((one, failed[one.id]))
        else:
            results.done.append(one)
    return results


def _tell(
    consumer: Consumer, events: list[Event], failed: dict[int, str], hopeless: set[int]
) -> None:
    """Hand the events over; note those that it refuses, and those that it refuses for good.

    :raises AliasUnavailable: when a database is away.
    """
    if not events:
        return
    try:
        with use_primary():
            consumer.handle(events)
    except Exception as error:
        close_broken_connections()
        if store := outage_of(error):
            raise AliasUnavailable(store) from error
        if len(events) == 1:
            failed[events[0].id] = f"{consumer.name}: {kind_of(error)}"[:128]
            if isinstance(error, Undeliverable):
                hopeless.add(events[0].id)
            return
    else:
        return
    middle = len(events) // 2
    _tell(consumer, events[:middle], failed, hopeless)
    _tell(consumer, events[middle:], failed, hopeless)


def _meant_for_somebody(one: Claimed, sink: str) -> bool:
    """Tell whether a consumer is told of the aggregate, though not of this type of event."""
    return any(
        one.aggregate_type in consumer.aggregate_types for consumer in registry.consumers_of(sink)
    )


def _event(one: Claimed, sink: str, epoch: int) -> Event:
    return Event(
        id=one.id,
        epoch=epoch,
        sink=sink,
        aggregate_type=one.aggregate_type,
        aggregate_id=one.aggregate_id,
        type=one.type,
        schema=one.schema,
        payload=None if one.payload is None else json.loads(one.payload),
        headers={} if one.headers is None else json.loads(one.headers),
        created_at=datetime.fromisoformat(one.created_at),
        attempts=one.attempts,
    )
