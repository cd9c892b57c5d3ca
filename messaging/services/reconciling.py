"""Compare both stores of direct messages, range by range, and have both keep the newer state.

Both are walked in step by id, so that memory holds one range of each, whatever there is. A range
whose ids and ranks are the same is done; of any other each id is looked at again before it counts:
what a writer is just bringing is no difference.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from databases.breaker import AliasUnavailable
from databases.placement import alias_of
from databases.stores import mongo
from messaging.models import Reconciliation
from messaging.services.catching_up import bring_to_mongodb
from messaging.stores.mongodb import MongoMessages
from messaging.stores.postgres import APP, PostgresMessages
from messaging.stores.states import State, floor_of

IDS: Final = 5_000
"""Ids of one range, of each store."""
SECONDS: Final = 30.0
LOOK_AGAIN: Final = 0.5
"""Seconds after which an id that differs is looked at again."""
RATE: Final = 50_000
"""Messages a second, at most: the site has to serve meanwhile."""
KEPT: Final = dt.timedelta(days=30)
NOTE_EVERY: Final = 20
"""Ranges between two notes of how far it came."""

Ranks = Sequence[tuple[UUID, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One message that the stores did not agree on."""

    id: UUID
    kind: str
    """`missing in mongodb`, `deleted in postgresql alone`, `older in mongodb` …"""
    mended: bool


@dataclass(slots=True, kw_only=True)
class Report:
    """What a comparison found and did."""

    compared: int = 0
    differences: int = 0
    mended: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    resumed_after: str = ""

    @property
    def rate(self) -> int:
        """Return messages a second."""
        return round(self.compared / self.seconds) if self.seconds else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which messages are compared."""

    conversation_id: UUID | None = None
    since: dt.datetime | None = None
    """Those written since; an older one that was edited since is found by a whole comparison."""

    @property
    def name(self) -> str:
        """Return what a later run is recognised by."""
        room = str(self.conversation_id or "all")
        return f"{room} since {self.since.isoformat()}" if self.since else room


def reconcile(
    *,
    scope: Scope,
    at: dt.datetime,
    repair: bool = True,
    resume: bool = False,
    rate: int = RATE,
    found: Callable[[Difference], None] = lambda _difference: None,
) -> Report:
    """Compare both stores and mend what differs; safe while the site writes.

    :param at: now.
    :param repair: or only look.
    :param resume: go on where an earlier run of the same scope was ended.
    :param rate: messages a second at most; 0 for as fast as it goes.
    :param found: is told of each difference.
    :raises AliasUnavailable: when a store is away, or MongoDB is not configured.
    """
    if not mongo.configured():
        raise AliasUnavailable(mongo.STORE)
    run = _run_of(scope, at=at, repair=repair, resume=resume)
    report = Report(resumed_after=run.after)
    begun = time.monotonic()
    first = floor_of(int(scope.since.timestamp() * 1000)) if scope.since else None
    after = UUID(run.after) if run.after else first
    for number, ranks in enumerate(_ranges(after, scope.conversation_id)):
        behind, front, last = ranks
        for difference in _compared(behind, front, repair=repair):
            report.differences += 1
            report.mended += difference.mended
            report.kinds[difference.kind] += 1
            found(difference)
        report.compared += max(len(behind), len(front))
        report.seconds = time.monotonic() - begun
        if last is not None and number % NOTE_EVERY == NOTE_EVERY - 1:
            _note(run, report, after=str(last))
        _wait(report, rate)
    report.seconds = time.monotonic() - begun
    run.ended_at = at + dt.timedelta(seconds=report.seconds)
    _note(run, report, after="")
    return report


def forget_old_runs(*, at: dt.datetime) -> int:
    """Delete what is known of comparisons that began a month ago; return how many."""
    old = Reconciliation.objects.using(alias_of(APP)).filter(began_at__lt=at - KEPT)
    return old.delete()[0]


def _ranges(after: UUID | None, room: UUID | None) -> Iterator[tuple[Ranks, Ranks, UUID | None]]:
    """Yield (PostgreSQL's, MongoDB's, last id) of each range; None: it was the last one."""
    behind, front = PostgresMessages(), MongoMessages(timeout=SECONDS)
    while True:
        rows = behind.ranks(after=after, upto=None, limit=IDS, room_id=room)
        documents = front.ranks(after=after, upto=None, limit=IDS, room_id=room)
        full = [found[-1][0] for found in (rows, documents) if len(found) == IDS]
        if not full:
            yield rows, documents, None
            return
        last = after = min(full)
        yield _upto(rows, last), _upto(documents, last), last


def _upto(found: Ranks, last: UUID) -> Ranks:
    if found and found[-1][0] <= last:
        return found
    return [one for one in found if one[0] <= last]


def _compared(rows: Ranks, documents: Ranks, *, repair: bool) -> Iterator[Difference]:
    if _digest(rows) == _digest(documents):
        return
    suspects = _differing(dict(rows), dict(documents))
    for begin in range(0, len(suspects), 500):
        yield from _looked_at(suspects[begin : begin + 500], repair=repair)


def _digest(found: Ranks) -> bytes:
    made = hashlib.blake2b(digest_size=16)
    for key, rank in found:
        made.update(key.bytes)
        made.update(rank.encode())
    return made.digest()


def _differing(rows: dict[UUID, str], documents: dict[UUID, str]) -> list[UUID]:
    return sorted(
        key for key in rows.keys() | documents.keys() if rows.get(key) != documents.get(key)
    )


def _looked_at(ids: Sequence[UUID], *, repair: bool) -> Iterator[Difference]:
    """Look again after a moment, and mend what still differs."""
    time.sleep(LOOK_AGAIN)
    behind, front = PostgresMessages(), MongoMessages(timeout=SECONDS)
    rows, documents = behind.states_of(ids), front.states_of(ids)
    to_mongodb: list[UUID] = []
    to_postgresql: list[State] = []
    kinds: dict[UUID, str] = {}
    for key in ids:
        row, document = rows.get(key), documents.get(key)
        if (row and row.rank) == (document and document.rank):
            continue
        if row is not None and (document is None or row.rank > document.rank):
            to_mongodb.append(key)
            kinds[key] = _kind(row, document, "mongodb", "postgresql")
        elif document is not None:
            to_postgresql.append(document)
            kinds[key] = _kind(document, row, "postgresql", "mongodb")
    if repair:
        bring_to_mongodb(to_mongodb)
        behind.put(to_postgresql)
        front.copied(to_postgresql)
    for key, kind in kinds.items():
        yield Difference(id=key, kind=kind, mended=repair)


def _kind(newer: State, older: State | None, behind: str, front: str) -> str:
    if older is None:
        return f"missing in {behind}"
    if newer.deleted and not older.deleted:
        return f"deleted in {front} alone"
    return f"older in {behind}"


def _run_of(scope: Scope, *, at: dt.datetime, repair: bool, resume: bool) -> Reconciliation:
    rows = Reconciliation.objects.using(alias_of(APP))
    if resume:
        known = rows.filter(scope=scope.name, repairs=repair, ended_at=None).order_by("-id").first()
        if known is not None:
            return known
    return rows.create(began_at=at, scope=scope.name, repairs=repair)


def _note(run: Reconciliation, report: Report, *, after: str) -> None:
    run.after = after
    run.compared, run.differences, run.mended = report.compared, report.differences, report.mended
    run.save(using=alias_of(APP))


def _wait(report: Report, rate: int) -> None:
    if rate and report.compared:
        time.sleep(max(0.0, report.compared / rate - report.seconds))
