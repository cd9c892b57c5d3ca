"""Messages and rooms as they go over the wire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from accounts.queries import NOBODY
from messaging.queries.rooms import ConversationSeen, ServerSeen, names_of
from messaging.queries.standing import Kind
from messaging.queries.unread import unread_in_channels, unread_in_conversations
from messaging.schemas.wire import (
    ChannelAnswer,
    ConversationAnswer,
    MemberAnswer,
    MessageAnswer,
    ProfileAnswer,
    RoomMemberAnswer,
    ServerAnswer,
)
from messaging.stores.states import State


def message_answers(found: Iterable[tuple[State, Kind]]) -> list[MessageAnswer]:
    """Return messages with their authors' names."""
    pairs = list(found)
    names = names_of(state.author_id for state, _ in pairs)
    return [
        message_answer(state, kind, name=names.get(state.author_id, NOBODY))
        for state, kind in pairs
    ]


def message_answer(state: State, kind: Kind | str, *, name: str) -> MessageAnswer:
    """Return a message with its author's name."""
    room = "channel_id" if kind == Kind.CHANNEL else "conversation_id"
    return MessageAnswer(
        id=state.id,
        content=state.content,
        file_url=state.file_url or None,
        deleted=state.deleted,
        member_id=state.member_id,
        created_at=state.created_at,
        updated_at=state.updated_at,
        member=MemberAnswer(id=state.member_id, profile=ProfileAnswer(name=name, image_url=None)),
        **{room: state.room_id},
    )


def conversation_answers(
    user_id: UUID, found: Sequence[ConversationSeen]
) -> list[ConversationAnswer]:
    """Return conversations with what is unread."""
    unread = unread_in_conversations(user_id=user_id, rooms=[seen.id for seen in found])
    return [
        ConversationAnswer(
            id=seen.id,
            title=seen.title,
            pair=seen.pair,
            created_at=seen.created_at,
            members=[RoomMemberAnswer.model_validate(member) for member in seen.members],
            unread=unread.get(seen.id),
        )
        for seen in found
    ]


def server_answers(user_id: UUID, found: Sequence[ServerSeen]) -> list[ServerAnswer]:
    """Return servers with what is unread in their channels."""
    rooms = [channel.id for seen in found for channel in seen.channels]
    unread = unread_in_channels(user_id=user_id, rooms=rooms)
    return [
        ServerAnswer(
            id=seen.id,
            name=seen.name,
            role=seen.role,  # type: ignore[arg-type]  # the table's choices
            created_at=seen.created_at,
            channels=[
                ChannelAnswer(id=channel.id, name=channel.name, unread=unread.get(channel.id))
                for channel in seen.channels
            ],
        )
        for seen in found
    ]
