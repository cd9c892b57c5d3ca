"""What to do about code that crosses databases: raise where developers see it, else log and count.

`CROSS_DATABASE_GUARD` decides: "raise" (development, tests) or "log" (production), where each
place in the code is logged once and counted every time.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.conf import settings

from common.errors import PolystoreError
from common.metrics import CROSSINGS

logger = logging.getLogger("databases.guards")

MOST_PLACES = 1000
"""Places that are remembered as logged; beyond them crossings are only counted."""
_MACHINERY = (
    *("django.", "psycopg.", "contextlib", "asgiref."),
    *("databases.crossings", "databases.guards", "databases.transactions", "databases.backend."),
    "databases.stores.",
)
"""Modules that stand between the guard and the code that is to blame."""

_allowed: ContextVar[str] = ContextVar("allow_cross_database", default="")
_logged: set[tuple[str, str]] = set()


class CrossesDatabases(PolystoreError):
    """If you meet this: the code works only while one database serves several aliases."""

    code = "databases.crosses_databases"
    status = 500
    title = "A statement crosses databases"


@contextmanager
def allow_cross_database(*, reason: str) -> Iterator[None]:
    """Let what happens in this block cross databases.

    :param reason: why that is right here, for whoever reads the code.
    :raises ValueError: without a reason.
    """
    if not reason.strip():
        raise ValueError("Say why crossing databases is right here.")
    reset = _allowed.set(reason)
    try:
        yield
    finally:
        _allowed.reset(reset)


def is_allowed() -> bool:
    """Tell whether this is inside `allow_cross_database`."""
    return bool(_allowed.get())


def object_to(crossing: CrossesDatabases) -> None:
    """Count a crossing, and raise it or log it once for its place in the code.

    :raises CrossesDatabases: the one that was given, where the guard raises.
    """
    CROSSINGS.labels(crossing.code).inc()
    if settings.CROSS_DATABASE_GUARD == "raise":
        raise crossing
    place = (crossing.code, _place())
    if place in _logged or len(_logged) >= MOST_PLACES:
        return
    _logged.add(place)
    logger.error(
        crossing.code,
        extra={"detail": crossing.detail, "remedy": crossing.remedy, "place": place[1]},
        stack_info=True,
    )


def forget_places() -> None:
    """Log every place anew (tests)."""
    _logged.clear()


def _place() -> str:
    """Return the module and line of the innermost frame that is not machinery."""
    frame = sys._getframe(1)
    found = frame
    while frame.f_back is not None:
        name = f"{frame.f_globals.get('__name__', '')}."
        if not name.startswith(_MACHINERY):
            found = frame
            break
        frame = frame.f_back
    return f"{found.f_globals.get('__name__', '?')}:{found.f_lineno}"
