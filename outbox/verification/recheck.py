"""Look again at what seems to differ, until no event of it waits: then it does, or it does not.

Note [When a difference is one]: rows are loaded, then the queue is asked for events of them, then
the documents are read, then the rows are loaded again. An event becomes visible with its row's
commit and leaves the queue when MongoDB has its document durably. So where no event waited and both
loads agree, the document was written from that row, or from nothing that will ever come; unless the
row changed and changed back between the loads. So where there seems to be a difference, the queue
and then the document's version are asked for once more: the last change before the second load
either waits, or has given the document another version since.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from databases.stores import contents, copies
from databases.stores.mongo import Document
from databases.stores.versioned import DELETED_AT, VERSION
from outbox import registry
from outbox.events import MONGODB, shard_of
from outbox.models import DeadLetter, OutboxEvent
from outbox.registry import Projection
from outbox.verification.ranges import same
from outbox.verification.report import Difference

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0


@dataclass(slots=True)
class Verdict:
    """What a second look said."""

    differences: list[Difference] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    """Events of these wait still, or they change all the time."""


def recheck(
    projection: Projection, ids: Sequence[str], *, collection: str = "", deadline: float
) -> Verdict:
    """Return which of `ids` differ: see Note [When a difference is one].

    :param collection: the one to compare with, by default the projection's.
    :param deadline: of `time.monotonic()`, until when it waits for events to be delivered.
    """
    verdict = Verdict()
    left, pause = list(ids), FIRST_PAUSE
    while left:
        left = _look(projection, left, collection or projection.name, verdict)
        if not left:
            break
        if time.monotonic() >= deadline:
            verdict.waiting = left
            break
        time.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 2)
    return verdict


def waiting_events(aggregate_type: str, ids: Sequence[str]) -> set[str]:
    """Return those of `ids` of which events wait for MongoDB."""
    shards = {shard_of(aggregate_type, key) for key in ids}
    return set(
        OutboxEvent.objects.filter(
            sink=MONGODB, shard__in=shards, aggregate_type=aggregate_type, aggregate_id__in=ids
        ).values_list("aggregate_id", flat=True)
    )


def _look(
    projection: Projection, ids: Sequence[str], collection: str, verdict: Verdict
) -> list[str]:
    """Judge what can be judged; return the others."""
    before = registry.load(projection, ids)
    waiting = waiting_events(projection.aggregate_type, ids)
    quiet = [key for key in ids if key not in waiting]
    found = copies.documents_of(collection, quiet)
    after = registry.load(projection, quiet)
    left = [key for key in ids if key in waiting]
    differing = []
    for key in quiet:
        row, again = before.get(key), after.get(key)
        if (row is None) is not (again is None) or (row and again and not same(row, again)):
            left.append(key)
        elif (difference := _judge(key, row, found.get(key))) is not None:
            differing.append(difference)
    moved = _moved(projection, collection, {one.id: found.get(one.id) for one in differing})
    verdict.differences.extend(
        _with_dead_letters(projection, [one for one in differing if one.id not in moved])
    )
    return left + sorted(moved)


def _moved(
    projection: Projection, collection: str, seen: Mapping[str, Document | None]
) -> set[str]:
    """Return those whose events wait by now, or whose documents were written since."""
    if not seen:
        return set()
    moved = waiting_events(projection.aggregate_type, list(seen)) & seen.keys()
    again = copies.documents_of(collection, list(seen))
    for key, copy in seen.items():
        if (copy or {}).get(VERSION) != again.get(key, {}).get(VERSION):
            moved.add(key)
    return moved


def _judge(key: str, row: Document | None, copy: Document | None) -> Difference | None:
    live = copy is not None and copy.get("_live") is True
    if row is None:
        gone = copy is None or (not live and DELETED_AT in copy)
        return None if gone else Difference(kind="extra", id=key)
    if copy is None:
        return Difference(kind="missing", id=key)
    if not live and DELETED_AT in copy:
        return Difference(kind="tombstone", id=key)
    if live and same(row, copy):
        return None
    fields = contents.differing_fields(row, copy)
    return Difference(kind="stale", id=key, fields=fields if live else (*fields, "_live"))


def _with_dead_letters(
    projection: Projection, differences: Sequence[Difference]
) -> list[Difference]:
    if not differences:
        return []
    dead = set(
        DeadLetter.objects.filter(
            sink=MONGODB,
            aggregate_type=projection.aggregate_type,
            aggregate_id__in=[difference.id for difference in differences],
        ).values_list("aggregate_id", flat=True)
    )
    return [
        Difference(kind=one.kind, id=one.id, fields=one.fields, dead_letter=one.id in dead)
        for one in differences
    ]
