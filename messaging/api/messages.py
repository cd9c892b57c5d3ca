"""Single messages and search over HTTP."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Status

from common.access import signed_in, user_id_of
from common.schemas import Page
from messaging.api.caller import limited_post, limited_search
from messaging.queries.history import message_for
from messaging.queries.search import search_messages
from messaging.schemas.shown import message_answers
from messaging.schemas.wire import MessageAnswer, MessageBody, SearchQuery
from messaging.services import messages

router = Router()


@router.get(
    "/search",
    response=Page[MessageAnswer],
    summary="Find messages in your rooms",
)
@signed_in("messages:read")
def search(request: HttpRequest, asked: Query[SearchQuery]) -> Page[MessageAnswer]:
    """Find messages with words that begin as those of `q` do, the newest first."""
    user_id = user_id_of(request)
    limited_search(user_id)
    found = search_messages(user_id=user_id, text=asked.q, cursor=asked.cursor, limit=asked.limit)
    return Page[MessageAnswer](
        items=message_answers(found.items), next=found.next, previous=found.previous
    )


@router.get("/{uuid:message_id}", response=MessageAnswer, summary="One message")
@signed_in("messages:read")
def get_message(request: HttpRequest, message_id: UUID) -> MessageAnswer:
    """Show a message of one of your rooms."""
    state, standing = message_for(user_id=user_id_of(request), message_id=message_id)
    return message_answers([(state, standing.kind)])[0]


@router.patch("/{uuid:message_id}", response=MessageAnswer, summary="Edit a message")
@signed_in("messages:write")
def edit_message(request: HttpRequest, message_id: UUID, body: MessageBody) -> MessageAnswer:
    """Change what one of your messages says."""
    user_id = user_id_of(request)
    limited_post(user_id)
    state, standing = messages.edit_message(
        user_id=user_id, message_id=message_id, content=body.content, file_url=body.file_url
    )
    return message_answers([(state, standing.kind)])[0]


@router.delete("/{uuid:message_id}", response={204: None}, summary="Delete a message")
@signed_in("messages:write")
def delete_message(request: HttpRequest, message_id: UUID) -> Status[None]:
    """Delete one of your messages, or any in a room that you lead."""
    user_id = user_id_of(request)
    limited_post(user_id)
    messages.delete_message(user_id=user_id, message_id=message_id)
    return Status(204, None)
