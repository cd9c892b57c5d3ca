"""How messaging is, for health and the admin: mode, backlog, the last comparison."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

from databases.placement import alias_of
from messaging.models import Reconciliation
from messaging.stores.doors import Health, check_database_health, from_postgres_or
from messaging.stores.postgres import APP

FRESH_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What operators see."""

    stores: Health
    last: Reconciliation | None
    """The last comparison that was finished."""


_lock = threading.Lock()
_known: tuple[float, Overview] | None = None


def overview() -> Overview:
    """Return how messaging is; asked at most once a second."""
    global _known  # noqa: PLW0603 - the cache of the process
    with _lock:
        if _known is None or time.monotonic() - _known[0] > FRESH_SECONDS:
            stores = check_database_health()
            last = last_reconciliation() if stores.postgresql else None
            _known = (time.monotonic(), Overview(stores=stores, last=last))
        return _known[1]


def for_health() -> dict[str, Any]:
    """Return what `/api/health` tells of messaging."""
    found = overview()
    return {
        "mode": found.stores.mode.value,
        "waiting_for_mongodb": found.stores.waiting_for_mongodb,
        "waiting_for_postgresql": found.stores.waiting_for_postgresql,
        "last_reconciliation": _ended(found.last),
    }


def last_reconciliation() -> Reconciliation | None:
    """Return the last comparison that was finished, or None; None while PostgreSQL is away."""

    def asked() -> Reconciliation | None:
        rows = Reconciliation.objects.using(alias_of(APP)).exclude(ended_at=None)
        return rows.order_by("-ended_at").first()

    return from_postgres_or(asked, lambda: None, "RECONCILIATION_GET")


def _ended(last: Reconciliation | None) -> dt.datetime | None:
    return last.ended_at if last is not None else None


def _begin_anew() -> None:
    global _lock, _known  # noqa: PLW0603 - the parent's may be held
    _lock = threading.Lock()
    _known = None


os.register_at_fork(after_in_child=_begin_anew)
