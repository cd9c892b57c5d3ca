"""The two ways through both stores, and how the stores are.

Every call is bounded: a store that hangs costs the first caller MONGO_TIMEOUT_MS, and the next
ones nothing, because its breaker is open. None runs while a transaction is open: what PostgreSQL
would roll back MongoDB would keep.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

from django.db import connections
from prometheus_client import Counter

from common.errors import PolystoreError
from databases import breaker, causality, health
from databases.breaker import AliasUnavailable
from databases.fallback import is_outage
from databases.placement import alias_of
from databases.stores import mongo
from databases.transactions import (
    TransactionHeldOpen,
    give_connections_back,
    open_transactions,
)
from messaging.stores.mongodb import MongoMessages
from messaging.stores.postgres import APP, PostgresMessages

logger = logging.getLogger("messaging.stores")

T = TypeVar("T")

POSTGRES: Final = "default"
MOST_COUNTED: Final = 10_000
WRITERS_FINISH: Final = 0.4
"""Seconds after MongoDB refused in which whoever wrote a message just before copies it."""
CALLS: Final = Counter(
    "polystore_messaging_calls",
    "Calls of the stores of direct messages, by who served them.",
    ["operation", "served_by"],
)


class BothStoresDown(PolystoreError):
    """Neither MongoDB nor PostgreSQL answers."""

    code, status, title = "messaging.unavailable", 503, "Messages are not available"
    remedy = "Try again in a moment, with the same Idempotency-Key."
    retry_after = 2


class Mode(StrEnum):
    """How direct messages are served."""

    NORMAL = "normal"
    MONGODB_DOWN = "mongodb down"
    POSTGRESQL_DOWN = "postgresql down"
    CATCHING_UP = "catching up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How both stores are."""

    mongodb: bool
    postgresql: bool
    mode: Mode
    waiting_for_mongodb: int | None
    """Messages that only PostgreSQL has; None while it does not say."""
    waiting_for_postgresql: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced(Generic[T]):
    """What became of a write."""

    value: T
    mongodb: bool
    """It is there. Otherwise an event of the outbox brings it."""
    postgresql: bool
    """It is there. Otherwise the mark on the document has the sweep bring it."""


def with_mongo_fallback(primary: Callable[[], T], fallback: Callable[[], T], operation: str) -> T:
    """Return what MongoDB answers, or PostgreSQL while MongoDB does not.

    Whoever comes right after MongoDB refused waits until what others have just been shown from it
    is in PostgreSQL, too.

    :param primary: asks MongoDB.
    :param fallback: gives the same answer from PostgreSQL.
    :param operation: its name in logs and metrics: `ROOM_MESSAGES_GET_DM`.
    :raises BothStoresDown: when the fallback fails, too.
    :raises TransactionHeldOpen: while a transaction is open.
    """
    _refuse_transactions(operation)
    if mongo.configured():
        begun = time.monotonic()
        try:
            answer = primary()
        except Exception as error:
            if not mongo_is_away(error):
                raise
            _note_mongo(operation, error)
            _let_writers_finish(begun)
        else:
            CALLS.labels(operation, "mongodb").inc()
            return answer
    answer = _from_postgres(fallback, operation)
    if mongo.configured():
        logger.info("[%s] Successfully used PostgreSQL fallback", operation)
    return answer


def sync_to_both_databases(
    *,
    write_mongo: Callable[[], T],
    copy_to_postgres: Callable[[T], None],
    write_postgres: Callable[[], T],
    operation: str,
) -> Synced[T]:
    """Write MongoDB first, then the copy in PostgreSQL; while MongoDB is away, PostgreSQL alone.

    Whatever ends between two steps, something is left that finishes the job: the mark on the
    document until PostgreSQL has its copy, or the event that came with PostgreSQL's row.

    :param write_mongo: returns when a majority has the marked document on disk.
    :param copy_to_postgres: is given what that returned, and takes the mark away.
    :param write_postgres: writes the row with an event for MongoDB, in one transaction.
    :param operation: its name in logs and metrics: `ROOM_MESSAGES_POST_DM`.
    :raises BothStoresDown: when neither took it. MongoDB may still have it: try again with the
        same key.
    :raises TransactionHeldOpen: while a transaction is open.
    """
    _refuse_transactions(operation)
    if mongo.configured():
        try:
            value = write_mongo()
        except Exception as error:
            if not mongo_is_away(error):
                raise
            _note_mongo(operation, error)
        else:
            copied = _copied(lambda: copy_to_postgres(value), operation)
            CALLS.labels(operation, "mongodb").inc()
            return Synced(value=value, mongodb=True, postgresql=copied)
    value = _from_postgres(write_postgres, operation)
    if mongo.configured():
        logger.info("[%s] Successfully used PostgreSQL fallback", operation)
    return Synced(value=value, mongodb=False, postgresql=True)


def from_postgres_or(ask: Callable[[], T], instead: Callable[[], T], operation: str) -> T:
    """Return what PostgreSQL answers, or `instead` while it is away. The answer says so."""
    try:
        return ask()
    except Exception as error:
        if not postgres_is_away(error):
            raise
        _note_postgres(operation, error)
    return instead()


def check_database_health() -> Health:
    """Return how both stores are, and what waits between them. Takes a second at most."""
    found = health.report()
    mongodb, postgresql = found.up(mongo.STORE), found.up(POSTGRES)
    if not mongo.configured():
        mongodb = False
    to_mongodb = _counted(lambda: PostgresMessages().backlog(most=MOST_COUNTED), up=postgresql)
    to_postgresql = _counted(lambda: MongoMessages().backlog(most=MOST_COUNTED), up=mongodb)
    if mongodb and postgresql:
        mode = Mode.CATCHING_UP if to_mongodb or to_postgresql else Mode.NORMAL
    elif postgresql:
        mode = Mode.MONGODB_DOWN if mongo.configured() else Mode.NORMAL
    else:
        mode = Mode.POSTGRESQL_DOWN if mongodb else Mode.DOWN
    return Health(
        mongodb=mongodb,
        postgresql=postgresql,
        mode=mode,
        waiting_for_mongodb=to_mongodb,
        waiting_for_postgresql=to_postgresql,
    )


def mongo_is_away(error: Exception) -> bool:
    """Tell whether `error` says that MongoDB does not serve; what it did is then unknown."""
    if isinstance(error, AliasUnavailable):
        return error.store == mongo.STORE
    return isinstance(error, mongo.MongoNotConfigured) or mongo.is_failure(error)


def postgres_is_away(error: Exception) -> bool:
    """Tell whether `error` says that PostgreSQL does not serve."""
    if isinstance(error, AliasUnavailable):
        return error.store != mongo.STORE
    return is_outage(error)


def _copied(copy: Callable[[], None], operation: str) -> bool:
    try:
        copy()
    except Exception as error:
        if not (postgres_is_away(error) or mongo_is_away(error)):
            raise
        _leave_broken_connection()
        logger.warning("[%s] The copy waits for the sweep: %s", operation, _reason(error))
        CALLS.labels(operation, "copy waits").inc()
        _degraded(POSTGRES if postgres_is_away(error) else mongo.STORE)
        return False
    return True


def _from_postgres(ask: Callable[[], T], operation: str) -> T:
    try:
        answer = ask()
    except Exception as error:
        if not postgres_is_away(error):
            raise
        _leave_broken_connection()
        CALLS.labels(operation, "nobody").inc()
        logger.error("[%s] PostgreSQL failed, too: %s", operation, _reason(error))  # noqa: TRY400
        raise BothStoresDown("Neither MongoDB nor PostgreSQL answers.") from error
    CALLS.labels(operation, "postgresql").inc()
    return answer


def _counted(count: Callable[[], int], *, up: bool) -> int | None:
    if not up:
        return None
    try:
        return count()
    except Exception as error:
        if postgres_is_away(error) or mongo_is_away(error):
            return None
        raise


def _note_mongo(operation: str, error: Exception) -> None:
    _degraded(mongo.STORE)
    logger.warning("[%s] MongoDB failed, falling back to PostgreSQL: %s", operation, _reason(error))
    if getattr(error, "timeout", False):
        known = breaker.get(mongo.STORE)
        if known is not None:
            known.suspect(type(error).__name__)


def _let_writers_finish(begun: float) -> None:
    """Wait for what writers had in hand when MongoDB went away: it was shown, and is on its way to
    PostgreSQL.

    :param begun: when MongoDB was asked; whoever waited for it has waited for them, too.
    """
    known = breaker.get(mongo.STORE)
    if known is None or known.silent:
        return
    left = min(known.opened_at, begun) + WRITERS_FINISH - time.monotonic()
    if left > 0:
        give_connections_back()
        time.sleep(left)


def _note_postgres(operation: str, error: Exception) -> None:
    _degraded(POSTGRES)
    _leave_broken_connection()
    CALLS.labels(operation, "without postgresql").inc()
    logger.warning("[%s] PostgreSQL failed, MongoDB serves: %s", operation, _reason(error))


def _leave_broken_connection() -> None:
    """Have this thread's next query connect anew, also within the same request."""
    connections[alias_of(APP)].close_if_unusable_or_obsolete()


def _degraded(store: str) -> None:
    state = causality.current()
    if state is not None:
        state.degraded.add(store)


def _reason(error: Exception) -> str:
    """Return what happened. Drivers' own words hold addresses and values: only their kind."""
    return error.detail if isinstance(error, PolystoreError) else type(error).__name__


def _refuse_transactions(operation: str) -> None:
    held = [wrapper.alias for wrapper in open_transactions()]
    if held:
        raise TransactionHeldOpen(
            f"{operation} would call MongoDB while a transaction is open on {', '.join(held)}."
        )
