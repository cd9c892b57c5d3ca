"""Asking again in the background, in a few threads of this process.

Not in a task: its message would carry the address into the broker.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from django.db import connections
from django.db.utils import Error

from caches.services.geocoding.addresses import Address
from common.errors import PolystoreError

logger = logging.getLogger("caches.geocoding")

MOST_AT_ONCE: Final = 4
"""Further stale addresses are refreshed when they are asked for again."""
AGAIN_AFTER: Final = 30.0
"""Seconds after a failure; the providers have rests of their own."""
_MOST_REMEMBERED: Final = 10_000


class _State:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.under_way: set[str] = set()
        self.not_before: dict[str, float] = {}


_state = _State()


def begin(address: Address, refresh: Callable[[Address], None]) -> bool:
    """Have `refresh` called in the background; False where that happens already, or not now."""
    with _state.lock:
        known = address.key in _state.under_way
        soon = _state.not_before.get(address.key, 0.0) > time.monotonic()
        if known or soon or len(_state.under_way) >= MOST_AT_ONCE:
            return False
        _state.under_way.add(address.key)
    threading.Thread(
        target=_work, args=(address, refresh), name="geocode-refresh", daemon=True
    ).start()
    return True


def under_way() -> int:
    """Return how many are being refreshed here."""
    return len(_state.under_way)


def forget() -> None:
    """Forget which failed."""
    with _state.lock:
        _state.not_before.clear()


def _work(address: Address, refresh: Callable[[Address], None]) -> None:
    state = _state
    try:
        refresh(address)
    except (PolystoreError, Error) as error:
        reason = getattr(error, "code", type(error).__name__)
        logger.warning("geocode.refresh.failed", extra={"reason": reason})
        with state.lock:
            if len(state.not_before) >= _MOST_REMEMBERED:
                state.not_before.clear()
            state.not_before[address.key] = time.monotonic() + AGAIN_AFTER
    except Exception as error:  # noqa: BLE001 - its words may repeat the address
        logger.error("geocode.refresh.failed", extra={"reason": type(error).__name__})  # noqa: TRY400
    finally:
        connections.close_all()
        with state.lock:
            state.under_way.discard(address.key)


def _begin_anew() -> None:
    global _state  # noqa: PLW0603 - the parent's threads are not here
    _state = _State()


os.register_at_fork(after_in_child=_begin_anew)
