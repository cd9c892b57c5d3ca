"""Who is told of what. Apps subscribe in `AppConfig.ready()`; the outbox knows none of them.

A `Projection` keeps one MongoDB collection equal to rows of PostgreSQL. A `Consumer` writes rows of
another database. Both are told per aggregate type::

    subscribe(
        Projection(
            name="todos",
            aggregate_type="todo",
            load=load_todos,
            page=page_of_todo_ids,
            indexes=[Index(collection="todos", keys=[("user_id", 1), ("_id", -1)])],
        )
    )
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from common.errors import PolystoreError
from databases.stores.mongo import Document, Index, declare_index
from databases.stores.versioned import ONLY_LIVE, tombstone_index
from outbox.events import MONGODB, Event

Load = Callable[[Sequence[str]], Mapping[str, Document]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A MongoDB collection that shows rows of PostgreSQL."""

    name: str
    """The collection."""
    aggregate_type: str
    load: Load
    """Given ids, returns the documents of the rows that exist, read from the primary now, in a
    constant number of queries. What is missing is deleted in the collection. Documents hold no
    `_id` (the aggregate's id becomes it) and no key that begins with an underscore."""
    page: Callable[[str | None, int], Sequence[str]]
    """Given the last id of the page before (or None) and a limit, returns the next ids of all rows
    that the collection must show, rising as MongoDB sorts them (as text), from the primary."""
    indexes: Sequence[Index] = ()
    """What its queries need. They hold live documents only, so each query names `_live: True`."""
    schema: int = 1
    """Raise it when `load` returns another shape: the projection must then be rebuilt."""
    changed_since: Callable[[datetime, str | None, int], Sequence[str]] | None = None
    """Like `page`, of the rows alone that changed at that moment or later; for
    `verify_sync --since`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """Code that is told of events and writes rows of one app."""

    name: str
    app_label: str
    """The app whose rows it writes: events for it wait in the sink of that name while that app's
    database is down, and nobody else's do."""
    aggregate_types: frozenset[str]
    handle: Callable[[Sequence[Event]], None]
    """Given events in order, writes what they ask for, in one transaction of the app's database.
    Must be idempotent by `event.version`: after a crash it is told again. Raises on a bad event;
    the outbox then finds out which one it was, and tells of it again later: after events of the
    same aggregate that came behind it."""
    event_types: frozenset[str] | None = None
    """None: all of them."""

    def wants(self, event: Event) -> bool:
        """Tell whether this consumer is told of `event`."""
        return event.aggregate_type in self.aggregate_types and (
            self.event_types is None or event.type in self.event_types
        )


class Undeliverable(PolystoreError):
    """Raised by a consumer for an event that no later try can deliver.

    It becomes a dead letter at once, with the message as its kind: the same text for the same
    fault, and no values of the row.
    """

    code = "outbox.undeliverable"
    title = "The event cannot be delivered"


class NobodySubscribed(PolystoreError):
    """An event was recorded that no projection and no consumer is told of."""

    code = "outbox.nobody_subscribed"
    title = "Nobody subscribed"
    remedy = "Subscribe in AppConfig.ready() of the app that needs it, or record nothing."


@dataclass(slots=True)
class _Registry:
    projections: dict[str, Projection] = field(default_factory=dict)
    consumers: dict[str, Consumer] = field(default_factory=dict)
    extensions: dict[str, dict[str, Load]] = field(default_factory=dict)
    sinks: dict[str, tuple[str, ...]] = field(default_factory=dict)


_registry = _Registry()


def subscribe(subscriber: Projection | Consumer) -> None:
    """Have `subscriber` told of events from now on; the same name again replaces it."""
    known: dict[str, Any] = (
        _registry.projections if isinstance(subscriber, Projection) else _registry.consumers
    )
    known[subscriber.name] = subscriber
    _registry.sinks.clear()
    if isinstance(subscriber, Projection):
        declare_index(tombstone_index(subscriber.name))
        for index in subscriber.indexes:
            declare_index(index if index.partial else replace(index, partial=ONLY_LIVE))


def extend(projection: str, name: str, load: Load) -> None:
    """Have the documents of `projection` hold what `load` returns, too.

    For an app above the projection's: the tracker adds points to users. Whoever changes what
    `load` reads records an event of the projection's aggregate, under the lock of its row.

    :param name: of the extension; the same name again replaces it.
    :param load: given ids, returns more fields of the documents; ids without any may be missing.
    """
    _registry.extensions.setdefault(projection, {})[name] = load


def projections() -> Sequence[Projection]:
    """Return every projection, by name."""
    return [_registry.projections[name] for name in sorted(_registry.projections)]


def projection(name: str) -> Projection:
    """Return the projection of that name. Raises KeyError where there is none."""
    return _registry.projections[name]


def consumers_of(sink: str) -> Sequence[Consumer]:
    """Return the consumers whose rows live in the app named `sink`, by name."""
    known = _registry.consumers
    return [known[name] for name in sorted(known) if known[name].app_label == sink]


def sinks_of(aggregate_type: str) -> tuple[str, ...]:
    """Return the sinks that events of this aggregate type are for.

    :raises NobodySubscribed: when there is none.
    """
    found = _registry.sinks.get(aggregate_type)
    if found is None:
        found = tuple(sorted(set(_sinks(aggregate_type))))
        if not found:
            raise NobodySubscribed(f"No one is told of events of {aggregate_type!r}.")
        _registry.sinks[aggregate_type] = found
    return found


def all_sinks() -> tuple[str, ...]:
    """Return every sink that has a subscriber."""
    apps = {consumer.app_label for consumer in _registry.consumers.values()}
    return tuple(sorted(apps | ({MONGODB} if _registry.projections else set())))


def load(projection: Projection, ids: Sequence[str]) -> dict[str, Document]:
    """Return the documents of `ids` with what extensions add; deleted ones are missing."""
    documents = {key: dict(document) for key, document in projection.load(ids).items()}
    for more in _registry.extensions.get(projection.name, {}).values():
        for key, fields in more(list(documents)).items():
            if key in documents:
                documents[key].update(fields)
    return documents


def _sinks(aggregate_type: str) -> Iterator[str]:
    for known in _registry.projections.values():
        if known.aggregate_type == aggregate_type:
            yield MONGODB
    for consumer in _registry.consumers.values():
        if aggregate_type in consumer.aggregate_types:
            yield consumer.app_label
