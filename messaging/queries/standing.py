"""What somebody is in a room. Whoever is no member learns nothing of it: 404."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from common.errors import PolystoreError


class RoomNotFound(PolystoreError):
    """There is no such room, or the caller does not belong to it."""

    code, status, title = "messaging.room_not_found", 404, "No such room"
    remedy = "List yours with GET /api/conversations and GET /api/servers."


class MessageNotFound(PolystoreError):
    """There is no such message, or it is in a room that the caller does not belong to."""

    code, status, title = "messaging.message_not_found", 404, "No such message"
    remedy = "List a room's messages with GET /api/rooms/{id}/messages."


class Kind(StrEnum):
    """What a room is."""

    CONVERSATION = "conversation"
    CHANNEL = "channel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What somebody is in a room."""

    room_id: UUID
    kind: Kind
    user_id: UUID
    member_id: UUID
    role: str
    """One of `models.Role`."""
    pair: bool = False
    """The room is the conversation of two people, to which nobody is added."""
