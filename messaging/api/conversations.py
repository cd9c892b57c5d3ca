"""Conversations over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Status

from common.access import signed_in, user_id_of
from common.schemas import Page
from messaging.queries.rooms import conversation_of, conversations_of
from messaging.schemas.shown import conversation_answers
from messaging.schemas.wire import ConversationAnswer, ConversationBody, PeopleBody, RoomsQuery
from messaging.services import rooms

router = Router()


@router.get("", response=Page[ConversationAnswer], summary="Your conversations, the newest first")
@signed_in("messages:read")
def list_conversations(request: HttpRequest, asked: Query[RoomsQuery]) -> Page[ConversationAnswer]:
    """List your conversations with who takes part and what is unread."""
    user_id = user_id_of(request)
    found = conversations_of(user_id=user_id, cursor=asked.cursor, limit=asked.limit)
    return Page[ConversationAnswer](
        items=conversation_answers(user_id, found.items), next=found.next, previous=None
    )


@router.post(
    "",
    response={200: ConversationAnswer, 201: ConversationAnswer},
    summary="Open a conversation",
)
@signed_in("messages:write")
def open_conversation(request: HttpRequest, body: ConversationBody) -> Any:
    """Open a conversation; the one of two people is there already when it was opened before."""
    user_id = user_id_of(request)
    conversation_id, is_new = rooms.open_conversation(
        user_id=user_id, user_ids=body.user_ids, title=body.title
    )
    return Status(201 if is_new else 200, _one(user_id, conversation_id))


@router.get(
    "/{uuid:conversation_id}", response=ConversationAnswer, summary="One of your conversations"
)
@signed_in("messages:read")
def get_conversation(request: HttpRequest, conversation_id: UUID) -> ConversationAnswer:
    """Show a conversation."""
    return _one(user_id_of(request), conversation_id)


@router.post("/{uuid:conversation_id}/members", response=ConversationAnswer, summary="Add people")
@signed_in("messages:write")
def add_members(
    request: HttpRequest, conversation_id: UUID, body: PeopleBody
) -> ConversationAnswer:
    """Add people to a conversation that you lead."""
    user_id = user_id_of(request)
    rooms.add_to_conversation(
        user_id=user_id, conversation_id=conversation_id, user_ids=body.user_ids
    )
    return _one(user_id, conversation_id)


@router.delete(
    "/{uuid:conversation_id}/members/{uuid:other_id}",
    response={204: None},
    summary="Leave, or remove somebody",
)
@signed_in("messages:write")
def remove_member(request: HttpRequest, conversation_id: UUID, other_id: UUID) -> Status[None]:
    """Leave a conversation, or remove somebody from one that you lead."""
    rooms.remove_from_conversation(
        user_id=user_id_of(request),
        conversation_id=conversation_id,
        other_id=other_id,
        at=timezone.now(),
    )
    return Status(204, None)


def _one(user_id: UUID, conversation_id: UUID) -> ConversationAnswer:
    found = conversation_of(user_id=user_id, conversation_id=conversation_id)
    return conversation_answers(user_id, [found])[0]
