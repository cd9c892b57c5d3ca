"""Record an event for every row of a projection, at a bounded rate, and see that all arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from databases.causality import use_primary
from outbox.registry import Projection
from outbox.verification import Options, Report, verify
from outbox.verification.repair import PER_SECOND, horizon, settled, tell_again

PAGE: Final = 1_000
VERB: Final = "replayed"


def tell_all(
    projection: Projection,
    *,
    per_second: int = PER_SECOND,
    wait: float,
    step: Callable[[int], None] = lambda _told: None,
) -> tuple[int, Report | None]:
    """Record an event for every row; then compare, and tell again what differs.

    The events are recorded without the locks of their rows: see Note [Why a repair looks twice] in
    `outbox.verification.repair`.

    :param wait: seconds for the last events to be delivered.
    :param step: told how many were recorded, after each commit.
    :returns: how many, and the comparison; None where delivery did not come so far.
    """
    told, last = 0, ""

    def note(key: str, count: int) -> None:
        nonlocal told, last
        told, last = told + count, key
        step(told)

    with use_primary():
        tell_again(projection, _all_ids(projection), verb=VERB, per_second=per_second,
                   after_each=note)  # fmt: skip
        if not last:
            return 0, None
        if not settled(projection, [last], horizon(), seconds=wait):
            return told, None
        return told, verify(projection, Options(repair=True, wait=wait))


def _all_ids(projection: Projection) -> Iterator[str]:
    after: str | None = None
    while ids := projection.page(after, PAGE):
        yield from ids
        after = ids[-1]
