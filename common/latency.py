"""How long the API's answers took in the last five minutes, in this process.

Kept as counts in buckets, so that those of all processes can be added: an answer is put into the
bucket whose upper end it does not pass, each a quarter longer than the one before. A percentile is
right to within that quarter.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Final

WINDOW_SECONDS: Final = 300
SLOT_SECONDS: Final = 10
ENDS: Final = tuple(round(0.001 * 1.25**step, 6) for step in range(49))
"""Upper ends of the buckets, in seconds: 1 ms to 45 s."""
API: Final = "api/"

_lock = threading.Lock()
_slots: deque[tuple[int, Counter[int]]] = deque()


def observe(route: str, seconds: float, *, now: float | None = None) -> None:
    """Count an answer, if it is one of the API's."""
    if not route.startswith(API):
        return
    bucket = min(bisect_left(ENDS, seconds), len(ENDS) - 1)
    slot = int(time.monotonic() if now is None else now) // SLOT_SECONDS
    with _lock:
        if not _slots or _slots[-1][0] != slot:
            _slots.append((slot, Counter()))
            _forget(slot)
        _slots[-1][1][bucket] += 1


def counts(*, now: float | None = None) -> dict[str, int]:
    """Return how many answers of the last five minutes each bucket holds, by its number."""
    slot = int(time.monotonic() if now is None else now) // SLOT_SECONDS
    total: Counter[int] = Counter()
    with _lock:
        _forget(slot)
        for _, counted in _slots:
            total.update(counted)
    return {str(bucket): count for bucket, count in sorted(total.items())}


def percentile(
    share: float, counted: Iterable[Mapping[str, int]], *, least: int = 1
) -> float | None:
    """Return the seconds that `share` of all answers did not pass.

    :param counted: what `counts` returned in each process.
    :param least: of fewer answers nothing is said: None.
    """
    total: Counter[int] = Counter()
    for one in counted:
        total.update({int(bucket): count for bucket, count in one.items()})
    if total.total() < least:
        return None
    left = share * total.total()
    for bucket in sorted(total):
        left -= total[bucket]
        if left <= 0:
            return ENDS[min(bucket, len(ENDS) - 1)]
    return None


def _forget(slot: int) -> None:
    while _slots and _slots[0][0] <= slot - WINDOW_SECONDS // SLOT_SECONDS:
        _slots.popleft()


def _begin_anew() -> None:
    """Leave what was counted to the parent."""
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()
    _slots.clear()


os.register_at_fork(after_in_child=_begin_anew)
