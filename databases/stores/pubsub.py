"""Redis publish/subscribe, of JSON. Nothing is kept: who does not listen misses it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import redis as driver
from django.conf import settings
from redis import asyncio as asynchronous

from databases.breaker import AliasUnavailable
from databases.stores import redis

HEALTH_SECONDS: Final = 5.0


def publish(channel: str, message: dict[str, Any]) -> None:
    """Tell whoever listens; nothing where there is no Redis.

    :raises AliasUnavailable: while Redis does not answer.
    """
    if not redis.configured():
        return
    with redis.connection() as client:
        try:
            client.publish(channel, json.dumps(message, separators=(",", ":")))
        except driver.ResponseError as error:
            raise AliasUnavailable(redis.STORE) from error


@asynccontextmanager
async def subscribed(channel: str) -> AsyncIterator[AsyncIterator[dict[str, Any] | None]]:
    """Listen to a channel: yields its messages, and None whenever a second was quiet.

    :raises AliasUnavailable: when Redis does not answer, also while listening.
    """
    if not redis.configured():
        raise AliasUnavailable(redis.STORE)
    client = asynchronous.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=redis.CALL_SECONDS,
        health_check_interval=HEALTH_SECONDS,
        client_name="polystore-streams",
    )
    listener = client.pubsub(ignore_subscribe_messages=True)
    try:
        try:
            await listener.subscribe(channel)
        except (driver.RedisError, OSError) as error:
            raise AliasUnavailable(redis.STORE) from error
        yield _messages(listener)
    finally:
        await listener.aclose()  # type: ignore[no-untyped-call]
        await client.aclose()


async def _messages(listener: Any) -> AsyncIterator[dict[str, Any] | None]:
    while True:
        try:
            found = await listener.get_message(timeout=1.0)
        except (driver.RedisError, OSError) as error:
            raise AliasUnavailable(redis.STORE) from error
        if found is None:
            yield None
        elif found["type"] == "message":
            yield json.loads(found["data"])
