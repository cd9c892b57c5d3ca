"""Compare one projection from end to end, report as it goes, and repair if it shall."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from databases.causality import use_primary
from databases.stores import copies
from outbox.registry import Projection
from outbox.verification import progress, sampling
from outbox.verification.ranges import IDS, Range, of_ids, page_since, whole
from outbox.verification.recheck import recheck
from outbox.verification.repair import LONGEST_ID, horizon, settled, tell_again
from outbox.verification.report import Difference, Report

PATIENCE: Final = 10.0
"""Seconds that one comparison waits, altogether, for events to be delivered."""
ROUNDS: Final = 3
"""How often what a repair did not mend is told again."""
SAVE_EVERY: Final = 2.0

Tell = Callable[[Difference], None]
Step = Callable[[Report], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to compare, and what to do about it."""

    repair: bool = False
    since: datetime | None = None
    """Only rows that changed since."""
    sample: int = 0
    """Only so many rows at random."""
    resume: bool = False
    """Go on where an earlier comparison ended."""
    wait: float = PATIENCE
    """Seconds to wait for deliveries: before something counts, and after a repair."""


def verify(
    projection: Projection,
    options: Options,
    *,
    tell: Tell = lambda _difference: None,
    step: Step = lambda _report: None,
    collection: str = "",
) -> Report:
    """Compare the projection with its rows.

    Not within a transaction of the primary. Memory is bounded, whatever there is.

    :param tell: told of each difference as it is found.
    :param step: told of the report after each range.
    :param collection: the one to compare, by default the projection's own.
    :raises AliasUnavailable: when a store does not answer; `resume` goes on from there.
    :raises LookupError: when nobody can tell what changed since.
    """
    begun = time.monotonic()
    with use_primary():
        report, after = _start(projection, options)
        earlier = report.seconds
        run = _Run(projection, options, report, tell, collection or projection.name)
        for found in _ranges(projection, options, report, run.collection, after):
            run.take(found)
            report.seconds = earlier + time.monotonic() - begun
            if run.resumable and found.last is not None:
                run.save(found.last)
            step(report)
        run.judge()
        if options.repair:
            run.settle()
    report.seconds = earlier + time.monotonic() - begun
    if run.resumable:
        progress.forget(projection.name)
    return report


class _Run:
    """The state of one comparison."""

    def __init__(
        self, projection: Projection, options: Options, report: Report, tell: Tell, collection: str
    ) -> None:
        self.projection = projection
        self.options = options
        self.report = report
        self.collection = collection
        self.resumable = not options.sample and collection == projection.name
        self._tell = tell
        self._suspects: list[str] = []
        self._mended: list[str] = []
        self._passed: Callable[[], bool] = lambda: True
        self._patience = time.monotonic() + options.wait
        self._saved = time.monotonic()

    def take(self, found: Range) -> None:
        """Add a range to the report; look again at what it suspects, a thousand at a time."""
        report = self.report
        report.rows += found.rows
        report.documents += found.documents
        report.tombstones += found.tombstones
        report.ranges += 1
        report.ranges_that_differed += bool(found.suspects)
        self._suspects.extend(found.suspects)
        if len(self._suspects) >= IDS:
            self.judge()

    def judge(self) -> None:
        """Tell which suspects differ, and record what mends them."""
        suspects, self._suspects = self._suspects, []
        for some in _batches(suspects):
            verdict = recheck(
                self.projection, some, collection=self.collection, deadline=self._patience
            )
            self.report.waiting += len(verdict.waiting)
            for difference in verdict.differences:
                self.report.add(difference)
                self._tell(difference)
            if self.options.repair:
                self._mend([difference.id for difference in verdict.differences])

    def save(self, last: str) -> None:
        """Keep how far it came, now and then, with nothing unjudged."""
        if time.monotonic() - self._saved < SAVE_EVERY or len(last) > LONGEST_ID:
            return
        self.judge()
        progress.save(self.projection.name, last, self.options.since, self.report)
        self._saved = time.monotonic()

    def settle(self) -> None:
        """Wait for what was recorded, and look again: see Note [Why a repair looks twice]."""
        deadline = time.monotonic() + self.options.wait
        left = self._mended
        for _ in range(ROUNDS):
            if not left:
                break
            if not self._delivered(left, deadline):
                self.report.notes.append(
                    "Not all of the recorded events are delivered yet: compare again later."
                )
                return
            still = self._differing(left, deadline)
            self.report.repaired += len(left) - len(still)
            left = still
            self._mend(left, keep=False)
        if left:
            self.report.notes.append(f"{len(left)} differ still: see the dead letters.")

    def _mend(self, ids: Sequence[str], *, keep: bool = True) -> None:
        if ids:
            self.report.recorded += tell_again(self.projection, ids)
            self._passed = horizon()
        if keep:
            self._mended.extend(ids)

    def _delivered(self, ids: Sequence[str], deadline: float) -> bool:
        return all(
            settled(self.projection, some, self._passed, seconds=deadline - time.monotonic())
            for some in _batches(ids)
        )

    def _differing(self, ids: Sequence[str], deadline: float) -> list[str]:
        found = []
        for some in _batches(ids):
            verdict = recheck(self.projection, some, deadline=deadline)
            found += [difference.id for difference in verdict.differences]
        return found


def _start(projection: Projection, options: Options) -> tuple[Report, str | None]:
    if options.resume and not options.sample:
        known = progress.load(projection.name, options.since)
        if known is not None:
            return known
    report = Report(projection=projection.name)
    if not options.sample and options.since is None:
        for foreign in copies.foreign_ids(projection.name):
            report.add(Difference(kind="extra", id=foreign))
            report.notes.append(f"The id {foreign} is no text; remove that document by hand.")
    return report, None


def _ranges(
    projection: Projection,
    options: Options,
    report: Report,
    collection: str,
    after: str | None,
) -> Iterator[Range]:
    if options.sample:
        ids = sampling.some_ids(projection, options.sample)
        for some in _batches(ids):
            yield Range(last=None, rows=len(some), suspects=list(some))
    elif options.since is not None:
        page, of_changes = page_since(projection, options.since)
        if not of_changes and after is None:
            report.notes.append(
                "This projection cannot tell what changed since: compared are the rows that were "
                "made since, by the time in their ids."
            )
        yield from of_ids(projection, page, after=after)
    else:
        yield from whole(projection, collection=collection, after=after)


def _batches(ids: Sequence[str]) -> Iterator[list[str]]:
    iterator = iter(ids)
    while batch := list(itertools.islice(iterator, IDS)):
        yield batch
