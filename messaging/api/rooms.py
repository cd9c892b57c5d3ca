"""Messages of a room over HTTP, read markers, and what is unread."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router, Status

from common.access import signed_in, user_id_of
from common.schemas import Page
from messaging.api.caller import REPLAYED, IdempotencyKey, limited_post
from messaging.queries.history import page_of
from messaging.queries.rooms import rooms_of, standing_of
from messaging.queries.unread import unread_in_channels, unread_in_conversations
from messaging.schemas.shown import message_answers
from messaging.schemas.wire import (
    MessageAnswer,
    MessageBody,
    MessagesQuery,
    ReadBody,
    UnreadAnswer,
)
from messaging.services import messages, rooms

router = Router()


@router.get("/unread", response=list[UnreadAnswer], summary="How much is unread, by room")
@signed_in("messages:read")
def unread(request: HttpRequest) -> list[UnreadAnswer]:
    """Count the messages of others behind your read markers, up to 100 a room."""
    user_id = user_id_of(request)
    conversations, channels = rooms_of(user_id=user_id)
    counted = unread_in_conversations(user_id=user_id, rooms=conversations)
    if channels is not None:
        counted |= unread_in_channels(user_id=user_id, rooms=channels)
    return [UnreadAnswer(room_id=room, unread=count) for room, count in counted.items()]


@router.get(
    "/{uuid:room_id}/messages",
    response=Page[MessageAnswer],
    summary="Messages of a room, the newest first",
)
@signed_in("messages:read")
def list_messages(
    request: HttpRequest, room_id: UUID, asked: Query[MessagesQuery]
) -> Page[MessageAnswer]:
    """List messages: the last ones, those before a place, or those after one."""
    standing = standing_of(user_id=user_id_of(request), room_id=room_id)
    page = page_of(standing, before=asked.before, after=asked.after, limit=asked.limit)
    return Page[MessageAnswer](
        items=message_answers((state, standing.kind) for state in page.items),
        next=page.next,
        previous=page.previous,
    )


@router.post(
    "/{uuid:room_id}/messages",
    response={201: MessageAnswer},
    summary="Write a message",
)
@signed_in("messages:write")
def post_message(
    request: HttpRequest,
    response: HttpResponse,
    room_id: UUID,
    body: MessageBody,
    key: IdempotencyKey = None,
) -> Any:
    """Write a message. It is answered when nothing can lose it any more."""
    user_id = user_id_of(request)
    limited_post(user_id)
    posted = messages.post_message(
        user_id=user_id, room_id=room_id, content=body.content, file_url=body.file_url, key=key
    )
    if posted.replayed:
        response[REPLAYED] = "true"
    return Status(201, message_answers([(posted.state, posted.standing.kind)])[0])


@router.put("/{uuid:room_id}/read", response={204: None}, summary="Mark a room as read")
@signed_in("messages:write")
def mark_read(request: HttpRequest, room_id: UUID, body: ReadBody) -> Status[None]:
    """Remember up to which message you have read. It never goes back."""
    rooms.mark_read(
        user_id=user_id_of(request),
        room_id=room_id,
        message_id=body.message_id,
        at=timezone.now(),
    )
    return Status(204, None)
