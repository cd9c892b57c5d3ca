"""Write down what became of a batch: one statement deletes what is done; the rest is rare."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Final

from django.conf import settings

from databases.alerts import raise_alert
from outbox.delivery.failures import pause_before
from outbox.delivery.measuring import count
from outbox.delivery.outcome import Claimed, Delivered, Results
from outbox.delivery.session import Session
from outbox.delivery.state import State
from outbox.events import MONGODB

logger = logging.getLogger("outbox.delivery")

_SAME_EPOCH: Final = "NOT EXISTS (SELECT FROM outbox_deliverystate WHERE epoch <> %s)"
"""A restore begins another one, and gives ids out a second time: those in hand are not these."""
_THESE: Final = (
    f"e.shard = ANY(%s::smallint[]) AND e.id = ANY(%s::bigint[]) AND e.sink = %s AND {_SAME_EPOCH}"
)
"""Ids are unique in an epoch; the shards only lead the index to them."""
_COLUMNS: Final = (
    "id, sink, aggregate_type, aggregate_id, event_type, schema, payload, headers, created_at"
)
_DELETE: Final = f"DELETE FROM outbox_outboxevent AS e WHERE {_THESE}"  # noqa: S608 - constants
_MOVE: Final = f"""
WITH moved AS ({_DELETE} RETURNING e.*)
INSERT INTO outbox_deliveredevent ({_COLUMNS}, attempts, delivered_at)
SELECT {_COLUMNS}, attempts, clock_timestamp() FROM moved
ON CONFLICT (id) DO NOTHING
"""  # noqa: S608 - made of constants
_RETRY: Final = f"""
UPDATE outbox_outboxevent AS e
SET attempts = k.attempts, error = k.kind,
    next_at = clock_timestamp() + make_interval(secs => k.pause)
FROM unnest(%s::bigint[], %s::smallint[], %s::text[], %s::float8[])
     AS k (id, attempts, kind, pause)
WHERE e.id = k.id AND {_THESE}
"""  # noqa: S608 - made of constants
_BURY: Final = f"""
WITH dead AS (
    DELETE FROM outbox_outboxevent AS e
    USING unnest(%s::bigint[], %s::smallint[], %s::text[]) AS k (id, attempts, kind)
    WHERE e.id = k.id AND {_THESE}
    RETURNING e.*, k.attempts AS tried, k.kind
)
INSERT INTO outbox_deadletter
    (id, sink, aggregate_type, aggregate_id, type, schema, payload, headers, created_at,
     attempts, kind, reason)
SELECT {_COLUMNS}, tried, kind, 'Tried ' || tried || ' times; the last time: ' || kind FROM dead
ON CONFLICT (id) DO NOTHING
RETURNING kind
"""  # noqa: S608 - made of constants
_KNOWN_KINDS: Final = "SELECT DISTINCT kind FROM outbox_deadletter WHERE kind = ANY(%s::text[])"

_TROUBLED: Final = """
SELECT aggregate_type, aggregate_id FROM outbox_outboxevent WHERE attempts > 0 AND sink = %s
UNION
SELECT aggregate_type, aggregate_id FROM outbox_deadletter WHERE sink = %s
LIMIT %s
"""
_OLDER_RETRIES: Final = f"""
DELETE FROM outbox_outboxevent AS e
USING unnest(%s::text[], %s::text[], %s::bigint[]) AS k (aggregate_type, aggregate_id, id)
WHERE e.attempts > 0 AND e.sink = %s AND e.aggregate_type = k.aggregate_type
  AND e.aggregate_id = k.aggregate_id AND e.id < k.id AND {_SAME_EPOCH}
RETURNING e.aggregate_type, e.aggregate_id, e.attempts
"""  # noqa: S608 - made of constants
_OLDER_DEAD: Final = f"""
DELETE FROM outbox_deadletter AS e
USING unnest(%s::text[], %s::text[], %s::bigint[]) AS k (aggregate_type, aggregate_id, id)
WHERE e.sink = %s AND e.aggregate_type = k.aggregate_type
  AND e.aggregate_id = k.aggregate_id AND e.id < k.id AND {_SAME_EPOCH}
RETURNING e.kind
"""  # noqa: S608 - made of constants
_STILL_DEAD: Final = "SELECT 1 FROM outbox_deadletter WHERE kind = %s LIMIT 1"
MOST_TROUBLED: Final = 10_000
"""Aggregates with failures that a drainer keeps in mind; with more, it asks for each batch."""


class Settling:
    """What a drainer writes into the queue."""

    def __init__(self, session: Session, sink: str) -> None:
        """Know nothing of failures yet: `look` does."""
        self._session = session
        self._sink = sink
        self._done = _MOVE if settings.OUTBOX_HISTORY else _DELETE
        self._troubled: set[tuple[str, str]] | None = None
        self._epoch = State().epoch

    def look(self) -> None:
        """Read which aggregates have failures that a later event would resolve."""
        if self._sink != MONGODB:  # a consumer's events are facts: none stands for another
            self._troubled = set()
            return
        rows = self._session.run(_TROUBLED, (self._sink, self._sink, MOST_TROUBLED))
        self._troubled = None if len(rows) == MOST_TROUBLED else {(row[0], row[1]) for row in rows}

    def settle(self, results: Results, *, waited: float, epoch: int) -> Delivered:
        """Write down what `results` say, and count it.

        :param epoch: in which the events were claimed; in another one nothing is written.
        :param waited: seconds between the claim and the sink's acknowledgement.
        """
        self._epoch = epoch
        if results.done:
            self._session.run(self._done, self._these(results.done))
            failing = {one.aggregate for one, _ in results.failed}
            self._resolve(
                [one for one in results.done if one.aggregate not in failing]
                if failing
                else results.done
            )
        delivered = Delivered(events=len(results.done), batches=1)
        buried = self._fail(results, delivered) if results.failed else ()
        count(self._sink, results, buried=buried, waited=waited)
        return delivered

    def _resolve(self, done: Sequence[Claimed]) -> None:
        """Drop older failures of what has just been delivered: it shows all that they told of."""
        older = self._aggregates(done)
        if not older[0]:
            return
        parameters = (*older, self._sink, self._epoch)
        self._session.run(_OLDER_RETRIES, parameters)
        kinds = {row[0] for row in self._session.run(_OLDER_DEAD, parameters)}
        for kind in kinds:
            if not self._session.run(_STILL_DEAD, (kind,)):
                tell(self._sink, kind, recovered=True)
        if self._troubled is not None:
            self._troubled.difference_update(one.aggregate for one in done)

    def _fail(self, results: Results, delivered: Delivered) -> set[int]:
        """Have failed events tried again, or bury them; return the ids of the buried."""
        failed = results.failed
        with self._session.connection.transaction():
            self._session.run("SET LOCAL synchronous_commit = on")
            attempts = self._attempts(failed)
            most = settings.OUTBOX_MAX_ATTEMPTS
            given_up = {key for key, tried in attempts.items() if tried >= most} | results.hopeless
            again = [entry for entry in failed if entry[0].id not in given_up]
            self._retry(again, attempts)
            dead = [entry for entry in failed if entry[0].id in given_up]
            new = self._bury(dead, attempts)
        delivered.failed += len(again)
        delivered.dead += len(dead)
        if self._troubled is not None and self._sink == MONGODB:
            self._troubled.update(one.aggregate for one, _ in failed)
        for kind in {kind for _, kind in failed}:
            logger.warning("outbox.event.failed", extra={"sink": self._sink, "kind": kind})
        for kind in new:
            tell(self._sink, kind)
        return {one.id for one, _ in dead}

    def _attempts(self, failed: Sequence[tuple[Claimed, str]]) -> dict[int, int]:
        """Return how often each was tried, its older failures included, which it replaces."""
        attempts = {one.id: one.attempts + 1 for one, _ in failed}
        older = self._aggregates(one for one, _ in failed)
        if not older[0]:
            return attempts
        newest = {(kind, key): event_id for kind, key, event_id in zip(*older, strict=True)}
        parameters = (*older, self._sink, self._epoch)
        for kind, key, tried in self._session.run(_OLDER_RETRIES, parameters):
            event_id = newest[kind, key]
            attempts[event_id] = max(attempts[event_id], tried + 1)
        self._session.run(_OLDER_DEAD, parameters)
        return attempts

    def _retry(self, failed: Sequence[tuple[Claimed, str]], attempts: dict[int, int]) -> None:
        if failed:
            events = [one for one, _ in failed]
            tried = [attempts[one.id] for one in events]
            pauses = [pause_before(count) for count in tried]
            kinds = [kind for _, kind in failed]
            ids = [one.id for one in events]
            self._session.run(_RETRY, (ids, tried, kinds, pauses, *self._these(events)))

    def _bury(self, failed: Sequence[tuple[Claimed, str]], attempts: dict[int, int]) -> set[str]:
        """Move events to the dead letters; return the kinds of failure that are new there."""
        if not failed:
            return set()
        events = [one for one, _ in failed]
        kinds = [kind for _, kind in failed]
        known = {row[0] for row in self._session.run(_KNOWN_KINDS, (kinds,))}
        tried = [attempts[one.id] for one in events]
        ids = [one.id for one in events]
        self._session.run(_BURY, (ids, tried, kinds, *self._these(events)))
        return set(kinds) - known

    def _aggregates(self, events: Iterable[Claimed]) -> tuple[list[str], list[str], list[int]]:
        """Return the newest event of each aggregate that has failures, as three columns."""
        troubled = self._troubled
        newest: dict[tuple[str, str], int] = {}
        if self._sink == MONGODB and (troubled is None or troubled):
            for one in events:
                if troubled is None or one.aggregate in troubled:
                    newest[one.aggregate] = max(one.id, newest.get(one.aggregate, 0))
        types, ids = [kind for kind, _ in newest], [key for _, key in newest]
        return types, ids, list(newest.values())

    def _these(self, events: Sequence[Claimed]) -> tuple[list[int], list[int], str, int]:
        """Return the parameters of `_THESE`."""
        return (
            list({one.shard for one in events}),
            [one.id for one in events],
            self._sink,
            self._epoch,
        )


def tell(sink: str, kind: str, *, recovered: bool = False) -> None:
    """Tell operators of the first dead letter of a kind, or that the last one is gone."""
    raise_alert(
        code="outbox.dead_letter",
        severity="warning",
        title=f"Events for {sink} cannot be delivered",
        detail=(
            f"{kind}. `manage.py outbox dead` lists them; `manage.py outbox replay --kind …` puts "
            "them back once the fault is mended."
        ),
        store=f"{sink}: {kind}",
        recovered=recovered,
    )
