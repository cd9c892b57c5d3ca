"""Tell whoever watches a room. Best effort: the database is the truth, and is asked again."""

from __future__ import annotations

import logging
from typing import Any, Final
from uuid import UUID

from databases.breaker import AliasUnavailable
from databases.stores import pubsub
from messaging.stores.states import State

logger = logging.getLogger("messaging.live")

CHANNEL: Final = "polystore:rooms"
"""One channel for all rooms: each streaming process listens to it once."""


def announce(state: State, *, kind: str) -> None:
    """Tell that a message was written or changed; never raises for Redis.

    :param kind: of the room.
    """
    _publish(
        {
            "room": str(state.room_id),
            "kind": kind,
            "message": {
                "id": str(state.id),
                "member_id": str(state.member_id),
                "author_id": str(state.author_id),
                "content": state.content,
                "file_url": state.file_url,
                "deleted": state.deleted,
                "created_at": state.created_at.isoformat(),
                "updated_at": state.updated_at.isoformat(),
                "rank": state.rank,
            },
        }
    )


def announce_members(room_ids: list[UUID]) -> None:
    """Tell that somebody was removed from these rooms: whoever streams them is asked for again."""
    for room_id in room_ids:
        _publish({"room": str(room_id), "members": True})


def _publish(message: dict[str, Any]) -> None:
    try:
        pubsub.publish(CHANNEL, message)
    except AliasUnavailable as error:
        logger.info("messaging.live.not_told", extra={"reason": error.store})
