"""Where this process's reads went, and why those went to a primary that could have used a replica.

Requests and tasks count for themselves (`CausalState.reads`) and hand their counts over at their
end, so that a read costs no lock.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Final

from prometheus_client import Counter as Total

from databases.aliases import is_replica
from databases.causality import CausalState

READS: Final = Total(
    "polystore_reads",
    "Reads by the alias that served them, and why not a replica.",
    ["served_by", "reason"],
)
NO_REPLICA: Final = "no replica is configured"

_totals: Counter[str] = Counter()
_lock = threading.Lock()
_children: dict[tuple[str, str], Total] = {}


def absorb(state: CausalState) -> None:
    """Add what a caller has read to the totals; call it once, when the caller is served."""
    if not state.reads:
        return
    with _lock:
        _totals.update(state.reads)
    for (alias, reason), count in by_reason(state.reads).items():
        _child(alias, reason).inc(count)


def totals() -> Mapping[str, int]:
    """Return the counts since the process began, keyed as in `CausalState.reads`."""
    with _lock:
        return dict(_totals)


def by_reason(reads: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """Return counts by (alias that served, why not a replica); replicas have an empty reason."""
    found: dict[tuple[str, str], int] = {}
    rest: Counter[str] = Counter()
    for key, count in reads.items():
        alias, explained, reason = key.partition(": ")
        if explained:
            found[alias, reason] = count
            rest[alias] -= count
        else:
            rest[alias] += count
    for alias, count in rest.items():
        if count > 0:
            found[alias, "" if is_replica(alias) else NO_REPLICA] = count
    return found


def _child(alias: str, reason: str) -> Total:
    known = _children.get((alias, reason))
    if known is None:
        known = _children[alias, reason] = READS.labels(alias, reason)
    return known


def _new_lock() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_new_lock)
