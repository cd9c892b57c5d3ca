"""Redis: one client per process, every call bounded, nothing called while it is down."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from django.conf import settings

from common.errors import PolystoreError
from databases.breaker import AliasUnavailable, Breaker, register
from databases.transactions import require_no_transaction

STORE = "redis"
CALL_SECONDS = 0.5

_client: redis.Redis | None = None
_lock = threading.Lock()


class RedisNotConfigured(PolystoreError):
    """No REDIS_URL is set."""

    code = "databases.redis_not_configured"
    status = 503
    remedy = "Set REDIS_URL to use Redis."


def configured() -> bool:
    """Tell whether REDIS_URL is set."""
    return bool(settings.REDIS_URL)


def client() -> redis.Redis:
    """Return this process's client (redis-py notices a fork by itself).

    :raises RedisNotConfigured: without REDIS_URL, or with one that cannot be read.
    """
    global _client  # noqa: PLW0603 - one client per process
    if not configured():
        raise RedisNotConfigured("Redis is not configured.")
    with _lock:
        if _client is None:
            try:
                _client = redis.Redis.from_url(
                    settings.REDIS_URL,
                    socket_timeout=CALL_SECONDS,
                    socket_connect_timeout=CALL_SECONDS,
                    client_name="polystore",
                )
            except ValueError:
                raise RedisNotConfigured("REDIS_URL cannot be read as a Redis URL.") from None
        return _client


def ping() -> None:
    """Return when Redis answers within CALL_SECONDS.

    :raises RedisNotConfigured: without REDIS_URL.
    :raises redis.RedisError: when it does not answer.
    """
    client().ping()


def breaker() -> Breaker:
    """Return Redis's breaker."""
    return register(Breaker(STORE, probe=ping))


@contextmanager
def connection() -> Iterator[redis.Redis]:
    """Give the client to one operation.

    :raises AliasUnavailable: at once while Redis is known to be down, and when it fails now.
    :raises TransactionHeldOpen: while a PostgreSQL transaction is open in this thread.
    """
    require_no_transaction(before="Redis was called")
    guard = breaker()
    guard.require()
    try:
        yield client()
    except (redis.ConnectionError, redis.TimeoutError) as error:
        guard.failed(type(error).__name__)
        raise AliasUnavailable(STORE) from error
