"""What goes over the wire."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)

from common.schemas import AnswerSchema, Page, WireSchema
from messaging.models import LONGEST_CONTENT, LONGEST_NAME, LONGEST_URL
from messaging.services.rooms import MOST_MEMBERS
from messaging.services.texts import MessageInvalid, content_of, file_url_of, name_of


def _content(text: str) -> str:
    try:
        return content_of(text)
    except MessageInvalid as error:
        raise ValueError(error.detail) from None


def _file_url(text: str) -> str:
    try:
        return file_url_of(text)
    except MessageInvalid as error:
        raise ValueError(error.detail) from None


def _name(text: str) -> str:
    try:
        return name_of(text)
    except MessageInvalid as error:
        raise ValueError(error.detail) from None


RoleName = Literal["owner", "moderator", "member"]
Content = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_CONTENT),
    AfterValidator(_content),
    Field(description="No control characters but line feeds and tabs."),
]
FileUrl = Annotated[
    str,
    StringConstraints(max_length=LONGEST_URL),
    AfterValidator(_file_url),
    Field(description="http or https."),
]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_NAME),
    AfterValidator(_name),
]
Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=LONGEST_NAME),
    AfterValidator(_name),
]
CursorText = Annotated[
    str | None, Field(description="`next` of an earlier answer.", max_length=1000)
]
People = Annotated[list[UUID], Field(min_length=1, max_length=MOST_MEMBERS)]


class RoomsQuery(WireSchema):
    """Which page of a list."""

    cursor: CursorText = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class ConversationBody(WireSchema):
    """With whom to talk."""

    user_ids: People
    title: Title = ""


class PeopleBody(WireSchema):
    """Whom to add."""

    user_ids: People


class ServerBody(WireSchema):
    """A new server, or a new channel."""

    name: Name


class RoleBody(WireSchema):
    """What somebody becomes."""

    role: RoleName


class ReadBody(WireSchema):
    """Up to which message a room was read."""

    message_id: UUID


class MessageBody(WireSchema):
    """A new message, or what one is changed to."""

    content: Content
    file_url: FileUrl | None = None


class MessagesQuery(WireSchema):
    """Which page of a room."""

    before: Annotated[
        str | None, Field(description="`next` of an earlier answer: older ones.", max_length=1000)
    ] = None
    after: Annotated[
        str | None,
        Field(
            description="`previous` of an earlier answer: newer ones. It looks back some seconds, "
            "so drop what you have.",
            max_length=1000,
        ),
    ] = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class SearchQuery(WireSchema):
    """What to find."""

    q: str = Field(min_length=1, max_length=200, description="Beginnings of words.")
    cursor: CursorText = None
    limit: Annotated[int, Field(ge=1, le=50)] = 20


class ProfileAnswer(AnswerSchema):
    """How somebody is shown."""

    name: str
    image_url: str | None


class MemberAnswer(AnswerSchema):
    """Who wrote a message."""

    id: UUID
    profile: ProfileAnswer


class MessageAnswer(AnswerSchema):
    """A message. It has `conversationId` or `channelId`; a deleted one has no content."""

    id: UUID
    content: str
    file_url: str | None
    deleted: bool
    member_id: UUID
    conversation_id: UUID | None = None
    channel_id: UUID | None = None
    created_at: dt.datetime
    updated_at: dt.datetime
    member: MemberAnswer

    @model_serializer(mode="wrap")
    def _one_room(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the room that it is not in."""
        answer: dict[str, Any] = serialize(self)
        for name in ("conversation_id", "conversationId", "channel_id", "channelId"):
            if name in answer and answer[name] is None:
                del answer[name]
        return answer


class RoomMemberAnswer(AnswerSchema):
    """Somebody in a room."""

    id: UUID
    user_id: UUID
    role: RoleName
    name: str


class ConversationAnswer(AnswerSchema):
    """A conversation."""

    id: UUID
    title: str
    pair: bool = Field(description="Of two people, to which nobody is added.")
    created_at: dt.datetime
    members: list[RoomMemberAnswer]
    unread: int | None = Field(description="100 for more; null while PostgreSQL is down.")


class ChannelAnswer(AnswerSchema):
    """A channel."""

    id: UUID
    name: str
    unread: int | None


class ServerAnswer(AnswerSchema):
    """A server."""

    id: UUID
    name: str
    role: RoleName
    created_at: dt.datetime
    channels: list[ChannelAnswer]


class UnreadAnswer(AnswerSchema):
    """How much is unread in a room."""

    room_id: UUID
    unread: int | None


class ServersAnswer(Page[ServerAnswer]):
    """Servers, all on one page."""


class MembersAnswer(Page[RoomMemberAnswer]):
    """Members, all on one page."""
