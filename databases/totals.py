"""Counters of this process that only rise, for Prometheus: breakers and fallbacks."""

from __future__ import annotations

import os
import threading
from typing import Final

from prometheus_client import Counter

from common.metrics import before_exposition
from databases import breaker as breakers
from databases import fallback

OPENED: Final = Counter("polystore_breaker_opened", "How often breakers opened.", ["store"])
REFUSED: Final = Counter(
    "polystore_breaker_refused", "Callers that open breakers turned away.", ["store"]
)
FALLBACKS: Final = Counter(
    "polystore_fallbacks", "Answers that declared fallbacks gave.", ["function"]
)

_noted: dict[tuple[Counter, str], int] = {}
_lock = threading.Lock()


def connect() -> None:
    """Count every breaker that opens, as it opens; the rest before each exposition."""
    breakers.listen(_note_opening)
    before_exposition(note)


def note() -> None:
    """Add what was counted elsewhere since the last time; where it is counted, time is short."""
    with _lock:
        for state in breakers.states():
            _raise_to(REFUSED, state.store, state.refused)
        for name, count in list(fallback.served.items()):
            _raise_to(FALLBACKS, name, count)


def _note_opening(state: breakers.BreakerState) -> None:
    if state.open:
        OPENED.labels(state.store).inc()


def _raise_to(counter: Counter, label: str, value: int) -> None:
    before = _noted.get((counter, label), 0)
    if value > before:
        counter.labels(label).inc(value - before)
        _noted[counter, label] = value


def _new_lock() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_new_lock)
