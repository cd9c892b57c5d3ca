"""When a provider is left in peace: after failures in a row, and when its quota is used up.

Each process counts the failures that it sees; a rest is told to all of them. After it one question
is enough to begin the next, twice as long.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from typing import Final

from django.conf import settings

from caches.services.geocoding.replies import Failure, ProviderFailed
from caches.stores import geocoders

logger = logging.getLogger("caches.geocoding")

IN_A_ROW: Final = 3
FIRST_REST: Final = 15.0
LONGEST_REST: Final = 300.0
QUOTA_REST: Final = 60.0
LONGEST_QUOTA_REST: Final = 3600.0
_FAIR_SECONDS: Final = 2.0
"""A provider that had less time than this is not to blame for having taken longer."""


@dataclass(slots=True)
class _Seen:
    failures: int = 0
    pause: float = FIRST_REST


_seen: dict[str, _Seen] = {}
_lock = threading.Lock()


def succeeded(provider: str) -> None:
    """Note that a provider answered."""
    if provider in _seen:
        with _lock:
            _seen.pop(provider, None)


def failed(provider: str, error: ProviderFailed, *, seconds: float) -> None:
    """Note a failure; perhaps the provider rests from now on.

    :param seconds: the time that it had.
    """
    pause = _pause(provider, error, seconds)
    if pause:
        logger.warning(
            "geocoder.rests",
            extra={"provider": provider, "reason": error.failure.value, "seconds": round(pause)},
        )
        geocoders.rest(provider, seconds=pause)


def forget() -> None:
    """Begin anew."""
    with _lock:
        _seen.clear()


def _pause(provider: str, error: ProviderFailed, seconds: float) -> float:
    if error.failure is Failure.QUOTA:
        return min(error.retry_after or QUOTA_REST, LONGEST_QUOTA_REST)
    fair = min(_FAIR_SECONDS, settings.GEOCODER_SECONDS * 0.3)
    if error.failure is Failure.QUESTION or (error.failure is Failure.TIMEOUT and seconds < fair):
        return 0.0
    with _lock:
        seen = _seen.setdefault(provider, _Seen())
        seen.failures += 1
        if seen.failures < IN_A_ROW:
            return 0.0
        seen.failures = IN_A_ROW - 1
        pause, seen.pause = seen.pause, min(LONGEST_REST, seen.pause * 2)
    return max(pause, min(error.retry_after or 0.0, LONGEST_REST))


def _begin_anew() -> None:
    global _lock  # noqa: PLW0603 - the parent's may be held
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_begin_anew)
