"""Wait for something to come true: a test never sleeps for a guess."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.db import connection

PAUSE = 0.01


def eventually(condition: Callable[[], object], *, seconds: float = 60.0) -> None:
    """Return as soon as `condition` holds; fail when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"It did not come true within {seconds} s."
        time.sleep(PAUSE)


def somebody_waits_for_a_lock() -> bool:
    """Tell whether a statement in the primary waits for somebody else's lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
            " OR NOT granted AND locktype = 'transactionid')"
        )
        return bool(cursor.fetchone()[0])
