"""Bring each store what the other one took alone. Safe to repeat, and to run many times at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from databases.breaker import AliasUnavailable
from databases.placement import alias_of
from databases.stores import mongo
from messaging.models import DirectMessage
from messaging.stores.mongodb import SWEEP_SECONDS, MongoMessages
from messaging.stores.postgres import APP, PostgresMessages
from messaging.stores.states import State
from messaging.stores.versions import next_version

AT_ONCE: Final = 500
STALE: Final = dt.timedelta(seconds=60)
"""What PostgreSQL took alone, and no event brought to MongoDB by then, the sweep brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep did."""

    to_postgresql: int
    to_mongodb: int
    oldest: UUID | None
    """The lowest id that was behind."""


def sweep(*, at: dt.datetime) -> Swept:
    """Copy marked messages to PostgreSQL, and to MongoDB what events left behind.

    :param at: now.
    :raises AliasUnavailable: when a store is away.
    """
    if not mongo.configured():
        return Swept(to_postgresql=0, to_mongodb=0, oldest=None)
    copied, first = copy_marked()
    brought, second = _bring_stale(at=at)
    oldest = min((one for one in (first, second) if one is not None), default=None)
    return Swept(to_postgresql=copied, to_mongodb=brought, oldest=oldest)


def copy_marked() -> tuple[int, UUID | None]:
    """Copy to PostgreSQL what MongoDB holds a mark on; return how many, and the lowest id."""
    store, behind = MongoMessages(timeout=SWEEP_SECONDS), PostgresMessages()
    count, oldest, above = 0, None, None
    while True:
        states = store.not_copied(above=above, limit=AT_ONCE)
        if not states:
            return count, oldest
        behind.put(states)
        store.copied(states)
        count += len(states)
        above, oldest = states[-1].id, oldest or states[0].id


def bring_to_mongodb(ids: Sequence[UUID]) -> int:
    """Bring these messages from PostgreSQL to MongoDB; return how many there were.

    :raises AliasUnavailable: when MongoDB is away; nothing is lost.
    """
    behind = PostgresMessages()
    states = behind.states_of(ids)
    store = MongoMessages(timeout=SWEEP_SECONDS)
    try:
        doubled = set(store.put_copies(list(states.values())))
        for message_id in doubled:
            _withdraw(states[message_id], store, behind)
    except mongo.MongoNotConfigured:
        raise AliasUnavailable(mongo.STORE) from None
    except Exception as error:
        if isinstance(error, AliasUnavailable) or not mongo.is_failure(error):
            raise
        # Whatever the driver says, the message is sound: it is MongoDB that did not take it.
        raise AliasUnavailable(mongo.STORE) from error
    behind.arrived(state for state in states.values() if state.id not in doubled)
    return len(states)


def _withdraw(state: State, store: MongoMessages, behind: PostgresMessages) -> None:
    """Delete a message that a key made twice: once in each store, while neither saw the other."""
    withdrawn = state.as_deleted(next_version(after=state.version))
    withdrawn = withdrawn._replace(request="", fingerprint="")
    store.put_copies([withdrawn])
    behind.put([withdrawn])


def _bring_stale(*, at: dt.datetime) -> tuple[int, UUID | None]:
    rows = DirectMessage.objects.using(alias_of(APP)).not_in_mongodb()
    stale = rows.filter(updated_at__lt=at - STALE).order_by("id").values_list("id", flat=True)
    count, oldest, above = 0, None, None
    while True:
        some = list((stale if above is None else stale.filter(id__gt=above))[:AT_ONCE])
        if not some:
            return count, oldest
        count += bring_to_mongodb(some)
        above, oldest = some[-1], oldest or some[0]
