"""Deliver to MongoDB: the newest event of each aggregate stands for all of its batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from django.db import connections
from django.utils import timezone

from databases.breaker import AliasUnavailable
from databases.causality import use_primary
from databases.stores import versioned
from databases.stores.mongo import Document
from databases.stores.versioned import Write
from outbox import registry
from outbox.delivery.failures import kind_of, outage_of
from outbox.delivery.outcome import Claimed, Results
from outbox.events import version_of
from outbox.registry import Projection

Aggregates = Mapping[str, Mapping[str, int]]
"""Aggregate type → id → the newest event's id."""
NOBODY = "no projection shows events of this type"


def deliver(claimed: Sequence[Claimed], *, epoch: int) -> Results:
    """Bring the documents of all claimed aggregates up to date.

    Rows are read after their events were claimed, so they show at least what the events tell of.
    """
    newest = _newest(claimed)
    failed: dict[tuple[str, str], str] = {}
    known = set()
    try:
        for projection in registry.projections():
            versions = newest.get(projection.aggregate_type)
            if versions:
                known.add(projection.aggregate_type)
                for key, kind in _show(projection, versions, epoch):
                    failed[projection.aggregate_type, key] = f"{projection.name}: {kind}"[:128]
    except AliasUnavailable as error:
        return Results(outage=error.store)
    for aggregate_type in newest.keys() - known:
        failed |= {(aggregate_type, key): NOBODY for key in newest[aggregate_type]}
    return _sorted_out(claimed, newest, failed)


def _newest(claimed: Sequence[Claimed]) -> dict[str, dict[str, int]]:
    newest: dict[str, dict[str, int]] = {}
    for _, event_id, aggregate_type, aggregate_id, *_ in claimed:
        versions = newest.setdefault(aggregate_type, {})
        if event_id > versions.get(aggregate_id, -1):
            versions[aggregate_id] = event_id
    return newest


def _show(
    projection: Projection, versions: Mapping[str, int], epoch: int
) -> Iterator[tuple[str, str]]:
    """Load and write; yield the ids that failed, with the kind of failure."""
    documents, unreadable = _loaded(projection, list(versions))
    writes = [
        Write(key, version_of(epoch, event_id), documents.get(key))
        for key, event_id in versions.items()
        if key not in unreadable
    ]
    yield from unreadable.items()
    yield from versioned.write(projection.name, writes, at=timezone.now()).items()


def _loaded(
    projection: Projection, ids: list[str]
) -> tuple[Mapping[str, Document], dict[str, str]]:
    """Return the documents, and the ids that cannot be loaded.

    :raises AliasUnavailable: when it is a database that fails.
    """
    try:
        with use_primary():
            return registry.load(projection, ids), {}
    except Exception as error:
        close_broken_connections()
        if store := outage_of(error):
            raise AliasUnavailable(store) from error
        if len(ids) == 1:
            return {}, {ids[0]: kind_of(error)}
    middle = len(ids) // 2
    documents, unreadable = _loaded(projection, ids[:middle])
    more_documents, more_unreadable = _loaded(projection, ids[middle:])
    return {**documents, **more_documents}, unreadable | more_unreadable


def close_broken_connections() -> None:
    """Have this thread's next query connect anew where its connection is lost."""
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()


def _sorted_out(
    claimed: Sequence[Claimed],
    newest: Aggregates,
    failed: Mapping[tuple[str, str], str],
) -> Results:
    """Of a failed aggregate the newest event is tried again; it stands for the older ones."""
    if not failed:
        return Results(done=list(claimed))
    results = Results()
    for event in claimed:
        kind = failed.get(event.aggregate)
        if kind is None or event.id != newest[event.aggregate_type][event.aggregate_id]:
            results.done.append(event)
        else:
            results.failed.append((event, kind))
    return results
