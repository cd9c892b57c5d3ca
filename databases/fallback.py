"""What an app serves while its database is down: declared beside the function that would ask it.

Without a declaration callers get `AliasUnavailable` (503). With one they get the declared answer,
and the response says so in `X-Degraded`::

    @falls_back_to(last_known_zones, app_label="caches")
    def zones_at(*, lat: float, lon: float) -> Zones: ...
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db.utils import InterfaceError, OperationalError

from databases import causality, placement
from databases.breaker import AliasUnavailable
from databases.stores import mongo

logger = logging.getLogger("databases.fallback")

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

served: Counter[str] = Counter()
"""Answers that fallbacks gave in this process, by the name of the function that could not."""

OUTAGES = ("08", "57P01", "57P02", "57P03", "53300")
"""SQLSTATEs (or their classes) of a server that is gone, shutting down, starting or full."""


def is_outage(error: Exception) -> bool:
    """Tell whether `error` says that the database does not serve, and not that the SQL is wrong."""
    if isinstance(error, AliasUnavailable | InterfaceError):
        return True
    if not isinstance(error, OperationalError):
        return False
    sqlstate = getattr(error.__cause__, "sqlstate", None)
    # Without a SQLSTATE the driver speaks, not the server: the connection is lost.
    return sqlstate is None or sqlstate.startswith(OUTAGES)


def falls_back_to(
    fallback: Callable[Parameters, Answer], *, app_label: str
) -> Callable[[Callable[Parameters, Answer]], Callable[Parameters, Answer]]:
    """Serve `fallback` with the same arguments while the database of `app_label` is down.

    :param fallback: must not ask that database; may raise AliasUnavailable where it has nothing.
    """

    def declare(function: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
        @wraps(function)
        def ask(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
            try:
                return function(*args, **kwargs)
            except (OperationalError, InterfaceError) as error:
                if not is_outage(error):
                    raise
                _note(function.__qualname__, placement.alias_of(app_label), error)
            return fallback(*args, **kwargs)

        return ask

    return declare


def mongodb_or(ask: Callable[[], Answer], instead: Callable[[], Answer]) -> Answer:
    """Return what MongoDB answers; while it is down, or not configured, what PostgreSQL does.

    :param ask: reads MongoDB alone.
    :param instead: gives the same answer from PostgreSQL. `X-Degraded` says so where MongoDB should
        have served; a site without MongoDB lacks nothing.
    """
    if not mongo.configured():
        return instead()
    try:
        return ask()
    except Exception as error:
        down = isinstance(error, AliasUnavailable | mongo.MongoNotConfigured)
        if not (down or mongo.is_failure(error)):
            raise
        _note(ask.__qualname__, mongo.STORE, error)
    return instead()


def _note(name: str, alias: str, error: Exception) -> None:
    served[name] += 1
    state = causality.current()
    if state is not None:
        state.degraded.add(alias)
    logger.warning(
        "database.fallback.served",
        extra={"function": name, "alias": alias, "reason": type(error).__name__},
    )
