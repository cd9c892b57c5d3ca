"""Deliver what is there now, in this process: for commands, tests, and sites without workers."""

from __future__ import annotations

from databases.breaker import AliasUnavailable
from databases.stores import mongo
from outbox import registry
from outbox.delivery.drainer import ONCE, Drainer
from outbox.delivery.outcome import Delivered
from outbox.delivery.session import Session
from outbox.events import MONGODB


def drain_once(*sinks: str) -> Delivered:
    """Deliver every event that is committed and due, and return when none is left.

    Not within a transaction of the primary: what it wrote is not committed, and not seen here.

    :param sinks: every sink that has subscribers and is configured, by default.
    :returns: what was done. Its `reason` is "paused" while delivery is paused, and "elsewhere"
        where other drainers own all shards.
    :raises AliasUnavailable: when the sink or the primary does not answer.
    """
    total = Delivered()
    for sink in sinks or deliverable_sinks():
        session = Session()
        try:
            total.add(Drainer(session, sink).run(ONCE))
        finally:
            session.close()
        if total.reason not in {"", "paused", "elsewhere"}:
            raise AliasUnavailable(total.reason)
    return total


def deliverable_sinks() -> tuple[str, ...]:
    """Return the sinks that somebody subscribed to; without MONGO_URL, projections wait."""
    return tuple(sink for sink in registry.all_sinks() if sink != MONGODB or mongo.configured())
