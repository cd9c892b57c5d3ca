"""What went wrong: a store that is away, or one bad event; and when to try again."""

from __future__ import annotations

import random
import traceback
from pathlib import PurePath
from typing import Final

from django.db.utils import Error, InterfaceError, OperationalError

from databases.breaker import AliasUnavailable
from outbox.registry import Undeliverable

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 300.0
"""Seconds before the second and the last try of an event, at most; any shorter time is as likely,
so that events that failed together come back one by one."""

_OF_THE_SERVER: Final = ("08", "53", "57P", "58", "25006", "40001", "40P01", "55P03")
"""SQLSTATEs of a server that is away, full, stopping or no primary, and of locks that somebody else
holds: a migration, a deadlock (PostgreSQL manual, A)."""


def outage_of(error: BaseException) -> str:
    """Return the store that is away, or "" where it is the event that cannot be delivered."""
    if isinstance(error, AliasUnavailable):
        return error.store
    if isinstance(error, InterfaceError):
        return "a database"
    if isinstance(error, Error):
        state = getattr(error.__cause__, "sqlstate", None)
        if state is None and isinstance(error, OperationalError):
            return "a database"
        if state is not None and state.startswith(_OF_THE_SERVER):
            return "a database"
    return ""


def kind_of(error: BaseException) -> str:
    """Return what went wrong and where, the same for the same fault; never the values."""
    if isinstance(error, Undeliverable):
        return error.detail
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    last = frames[-1]
    return f"{type(error).__name__} in {PurePath(last.filename).stem}.{last.name}"


def pause_before(attempt: int) -> float:
    """Return the seconds until the next try, after `attempt` tries: exponential, full jitter."""
    return random.uniform(0.0, min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**attempt))
