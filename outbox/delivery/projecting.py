"""Deliver to MongoDB: the newest event of each aggregate stands for all of its batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db import connections
from django.db.utils import Error
from django.utils import timezone

from databases.breaker import AliasUnavailable
from databases.causality import use_primary
from databases.stores import versioned
from databases.stores.mongo import Document
from databases.stores.versioned import Write
from outbox import registry, shadows
from outbox.delivery.failures import kind_of, outage_of
from outbox.delivery.outcome import Claimed, Results
from outbox.events import version_of
from outbox.registry import Projection

Aggregates = Mapping[str, Mapping[str, int]]
"""Aggregate type → id → the newest event's id."""
NOBODY = "no projection shows events of this type"


@dataclass(slots=True)
class Prepared:
    """What is to be written for some events: their rows are read, MongoDB was not called yet."""

    claimed: Sequence[Claimed]
    newest: Aggregates
    writes: list[tuple[Projection, str, list[Write]]] = field(default_factory=list)
    """By projection and collection: two while one is rebuilt (see `outbox.shadows`)."""
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    outage: str = ""


def prepare(claimed: Sequence[Claimed], *, epoch: int) -> Prepared:
    """Read the rows of all claimed aggregates: they show at least what the events tell of."""
    prepared = Prepared(claimed, _newest(claimed))
    known = set()
    try:
        for projection in registry.projections():
            if versions := prepared.newest.get(projection.aggregate_type):
                known.add(projection.aggregate_type)
                _read(projection, versions, epoch, prepared)
    except AliasUnavailable as error:
        prepared.outage = error.store
    for aggregate_type in prepared.newest.keys() - known:
        for key in prepared.newest[aggregate_type]:
            prepared.failed[aggregate_type, key] = NOBODY
    return prepared


def write(prepared: Prepared) -> Results:
    """Bring the documents up to date. Needs nothing of the calling thread."""
    if prepared.outage:
        return Results(outage=prepared.outage)
    failed = dict(prepared.failed)
    try:
        for projection, collection, writes in prepared.writes:
            for key, kind in versioned.write(collection, writes, at=timezone.now()).items():
                failed[projection.aggregate_type, key] = _named(projection, kind)
    except AliasUnavailable as error:
        return Results(outage=error.store)
    return _sorted_out(prepared.claimed, prepared.newest, failed)


def _newest(claimed: Sequence[Claimed]) -> dict[str, dict[str, int]]:
    newest: dict[str, dict[str, int]] = {}
    for _, event_id, aggregate_type, aggregate_id, *_ in claimed:
        versions = newest.setdefault(aggregate_type, {})
        if event_id > versions.get(aggregate_id, -1):
            versions[aggregate_id] = event_id
    return newest


def _read(
    projection: Projection, versions: Mapping[str, int], epoch: int, prepared: Prepared
) -> None:
    documents, unreadable = _loaded(projection, list(versions))
    writes = [
        Write(key, version_of(epoch, event_id), documents.get(key))
        for key, event_id in versions.items()
        if key not in unreadable
    ]
    for collection in _collections(projection):
        prepared.writes.append((projection, collection, writes))
    for key, kind in unreadable.items():
        prepared.failed[projection.aggregate_type, key] = _named(projection, kind)


def _collections(projection: Projection) -> tuple[str, ...]:
    """Return where its documents go.

    :raises AliasUnavailable: while the primary does not say.
    """
    try:
        return shadows.collections_of(projection.name)
    except Error as error:
        close_broken_connections()
        raise AliasUnavailable(outage_of(error) or "a database") from error


def _named(projection: Projection, kind: str) -> str:
    return f"{projection.name}: {kind}"[:128]


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
