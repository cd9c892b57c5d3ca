"""How much somebody has not read: messages of others behind the read marker, up to 100 a room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.db import connections

from databases.placement import alias_of
from messaging.stores.doors import from_postgres_or
from messaging.stores.postgres import APP

MOST: Final = 100
_COUNT: Final = """
SELECT rooms.id, (
    SELECT count(*) FROM (
        SELECT 1 FROM {table} AS m
        WHERE m.{room} = rooms.id AND m.id > coalesce(marker.message_id, %(none)s::uuid)
          AND m.author_id <> %(user)s AND NOT m.deleted
        LIMIT %(most)s
    ) AS newer
)
FROM unnest(%(rooms)s::uuid[]) AS rooms (id)
LEFT JOIN messaging_readmarker AS marker ON marker.room_id = rooms.id AND marker.user_id = %(user)s
"""
_DIRECT: Final = _COUNT.format(table="messaging_directmessage", room="conversation_id")
_GROUP: Final = _COUNT.format(table="messaging_groupmessage", room="channel_id")


def unread_in_conversations(*, user_id: UUID, rooms: Sequence[UUID]) -> dict[UUID, int | None]:
    """Return how many messages are unread by conversation; None while PostgreSQL is down."""
    return from_postgres_or(
        lambda: _counted(_DIRECT, user_id, rooms), lambda: dict.fromkeys(rooms), "UNREAD_GET"
    )


def unread_in_channels(*, user_id: UUID, rooms: Sequence[UUID]) -> dict[UUID, int | None]:
    """Return how many messages are unread by channel."""
    return _counted(_GROUP, user_id, rooms)


def _counted(sql: str, user_id: UUID, rooms: Sequence[UUID]) -> dict[UUID, int | None]:
    if not rooms:
        return {}
    parameters: dict[str, Any] = {
        "user": user_id,
        "rooms": list(rooms),
        "none": UUID(int=0),
        "most": MOST,
    }
    with connections[alias_of(APP)].cursor() as cursor:
        cursor.execute(sql, parameters)
        return dict(cursor.fetchall())
