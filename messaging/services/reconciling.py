"""Compare both stores of direct messages, range by range, and have both keep the newer state.

Both are walked in step by id, so that memory holds one range of each, whatever there is. Of each
message its rank and a hash of what people see of it are compared, of each range a hash of these: a
range whose hashes are the same is done; of any other each message that differs is looked at again
(`messaging.services.suspects`) before it counts: what a writer is just bringing is no difference.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from databases.breaker import AliasUnavailable
from databases.placement import alias_of
from databases.stores import mongo
from messaging.models import Reconciliation
from messaging.services.catching_up import bring_to_mongodb
from messaging.services.suspects import AT_ONCE, SECONDS, Pair, Suspects
from messaging.stores.mongodb import MongoMessages
from messaging.stores.postgres import APP, PostgresMessages
from messaging.stores.states import (
    Changed,
    State,
    floor_of,
    is_sound,
    milliseconds_of,
)

IDS: Final = 5_000
"""Ids of one range, of each store."""
RATE: Final = 50_000
"""Messages a second, at most: the site has to serve meanwhile."""
KEPT: Final = dt.timedelta(days=30)
NOTE_EVERY: Final = 20
"""Ranges between two notes of how far it came."""

Prints = Sequence[tuple[UUID, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One message that the stores did not agree on."""

    id: UUID
    kind: str
    """`missing in mongodb`, `deleted in postgresql alone`, `older in mongodb`, `changed in mongodb
    without a version` …"""
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
    """Those that were written, edited or deleted since, as at least one store knows."""

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
    walk = _Walk(scope=scope, run=run, report=report, repair=repair, rate=rate, found=found)
    if scope.since is not None and not run.after:
        walk.changes(scope.since)
    walk.ranges()
    run.ended_at = at + dt.timedelta(seconds=report.seconds)
    _note(run, report, after="")
    return report


@dataclass(slots=True, kw_only=True)
class _Walk:
    """One comparison that is under way."""

    scope: Scope
    run: Reconciliation
    report: Report
    repair: bool
    rate: int
    found: Callable[[Difference], None]
    suspects: Suspects = field(default_factory=Suspects)
    begun: float = field(default_factory=time.monotonic)

    def ranges(self) -> None:
        """Compare what is behind the last note, or was written since."""
        after = UUID(self.run.after) if self.run.after else _first_of(self.scope)
        for number, (rows, documents, last) in enumerate(_ranges(after, self.scope)):
            if _digest(rows) != _digest(documents):
                self.suspects.add(_differing(dict(rows), dict(documents)))
            noting = last is None or number % NOTE_EVERY == NOTE_EVERY - 1
            self._take(to_the_end=noting)
            self._count(max(len(rows), len(documents)))
            if noting and last is not None:
                _note(self.run, self.report, after=str(last))

    def changes(self, since: dt.datetime) -> None:
        """Compare what is older, and was changed since."""
        for changed in (_changed_in_postgres, _changed_in_mongodb_alone):
            for some in changed(since, self.scope):
                self.suspects.add(some)
                self._take()
                self._count(len(some))

    def _take(self, *, to_the_end: bool = False) -> None:
        for settled in self.suspects.settled(to_the_end=to_the_end):
            for difference in _differences(settled, repair=self.repair):
                self.report.differences += 1
                self.report.mended += difference.mended
                self.report.kinds[difference.kind] += 1
                self.found(difference)

    def _count(self, compared: int) -> None:
        self.report.compared += compared
        self.report.seconds = time.monotonic() - self.begun
        if self.rate and self.report.compared:
            time.sleep(max(0.0, self.report.compared / self.rate - self.report.seconds))


def forget_old_runs(*, at: dt.datetime) -> int:
    """Delete what is known of comparisons that began a month ago; return how many."""
    old = Reconciliation.objects.using(alias_of(APP)).filter(began_at__lt=at - KEPT)
    return old.delete()[0]


def _first_of(scope: Scope) -> UUID | None:
    """Return the id before the first one that was written in this scope; None for all of them."""
    return floor_of(milliseconds_of(scope.since)) if scope.since else None


def _ranges(after: UUID | None, scope: Scope) -> Iterator[tuple[Prints, Prints, UUID | None]]:
    """Yield (PostgreSQL's, MongoDB's, last id) of each range; None: it was the last one."""
    behind, front, room = PostgresMessages(), MongoMessages(timeout=SECONDS), scope.conversation_id
    while True:
        rows = behind.prints(after=after, limit=IDS, room_id=room)
        documents = front.prints(after=after, limit=IDS, room_id=room)
        full = [found[-1][0] for found in (rows, documents) if len(found) == IDS]
        if not full:
            yield rows, documents, None
            return
        last = after = min(full)
        yield _upto(rows, last), _upto(documents, last), last


def _changed_in_postgres(since: dt.datetime, scope: Scope) -> Iterator[list[UUID]]:
    yield from _pages(PostgresMessages().changed_ids, since, scope)


def _changed_in_mongodb_alone(since: dt.datetime, scope: Scope) -> Iterator[list[UUID]]:
    """Yield what PostgreSQL does not know to be changed: the others were looked at."""
    behind = PostgresMessages()
    for some in _pages(MongoMessages(timeout=SECONDS).changed_ids, since, scope):
        rows = behind.states_of(some)
        alone = [key for key in some if key not in rows or rows[key].updated_at < since]
        if alone:
            yield alone


def _pages(
    ask: Callable[..., list[Changed]], since: dt.datetime, scope: Scope
) -> Iterator[list[UUID]]:
    place: Changed = (since, UUID(int=0))
    below = floor_of(milliseconds_of(since) + 1)
    while True:
        some = ask(since=place, below=below, limit=AT_ONCE, room_id=scope.conversation_id)
        if some:
            yield [key for _, key in some]
        if len(some) < AT_ONCE:
            return
        place = some[-1]


def _upto(found: Prints, last: UUID) -> Prints:
    if found and found[-1][0] <= last:
        return found
    return [one for one in found if one[0] <= last]


def _digest(found: Prints) -> bytes:
    made = hashlib.blake2b(digest_size=16)
    for key, mark in found:
        made.update(key.bytes)
        made.update(mark.encode())
    return made.digest()


def _differing(rows: dict[UUID, str], documents: dict[UUID, str]) -> list[UUID]:
    return sorted(
        key for key in rows.keys() | documents.keys() if rows.get(key) != documents.get(key)
    )


def _differences(settled: Mapping[UUID, Pair], *, repair: bool) -> Iterator[Difference]:
    """Tell what is wrong with each of these, and mend it."""
    to_mongodb: list[UUID] = []
    to_postgresql: list[State] = []
    kinds: dict[UUID, str] = {}
    for key, (row, document) in settled.items():
        if row is not None and (document is None or _is_right(row, document)):
            to_mongodb.append(key)
            kinds[key] = _kind(row, document, "mongodb", "postgresql")
        elif document is not None:
            to_postgresql.append(document)
            kinds[key] = _kind(document, row, "postgresql", "mongodb")
    if repair:
        behind, front = PostgresMessages(), MongoMessages(timeout=SECONDS)
        bring_to_mongodb(to_mongodb)
        behind.replace(to_postgresql)
        front.copied(to_postgresql)
    for key, kind in kinds.items():
        yield Difference(id=key, kind=kind, mended=repair)


def _is_right(row: State, document: State) -> bool:
    """Tell whether PostgreSQL's state stays: the newer one, or of two that say to be the same one
    that which is marked as its rank says, or else PostgreSQL's, whose columns are checked."""
    if row.rank != document.rank:
        return row.rank > document.rank
    return is_sound(row) or not is_sound(document)


def _kind(right: State, wrong: State | None, behind: str, front: str) -> str:
    if wrong is None:
        return f"missing in {behind}"
    if right.rank == wrong.rank:
        return f"changed in {behind} without a version"
    if right.deleted and not wrong.deleted:
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
