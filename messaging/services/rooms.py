"""Servers, channels, conversations and who belongs to them. All of it in PostgreSQL.

Whoever changes who takes part in a conversation holds its row: the events that bring MongoDB its
members are then in the order of the commits.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from django.db import IntegrityError

from accounts.queries import people
from common.errors import PolystoreError
from databases.transactions import atomic_for
from messaging.models import (
    Channel,
    Conversation,
    ConversationMember,
    Membership,
    ReadMarker,
    Role,
    Server,
)
from messaging.policies import Action, NotAllowed, require
from messaging.queries.rooms import standing_in_server, standing_of
from messaging.queries.standing import RoomNotFound
from messaging.services.live import announce_members
from messaging.services.texts import MessageInvalid, name_of
from messaging.stores.postgres import APP
from outbox.events import MONGODB
from outbox.wake import hint_after_commit

MOST_MEMBERS: Final = 100


class PersonNotFound(PolystoreError):
    """There is no such active user."""

    code, status, title = "messaging.person_not_found", 404, "No such person"
    remedy = "Find people with GET /api/users/search."


class MemberNotFound(PolystoreError):
    """Nobody like that belongs to the room."""

    code, status, title = "messaging.member_not_found", 404, "No such member"
    remedy = "Look at the room's members."


class NameTaken(PolystoreError):
    """The server has a channel of that name."""

    code, status, title = "messaging.name_taken", 409, "Name taken"
    remedy = "Choose another name."


class LastOwner(PolystoreError):
    """A room is not left without an owner."""

    code, status, title = "messaging.last_owner", 409, "The last owner"
    remedy = "Make somebody else an owner first."


# Conversations ----------------------------------------------------------------------------------


def open_conversation(
    *, user_id: UUID, user_ids: Sequence[UUID], title: str = ""
) -> tuple[UUID, bool]:
    """Open a conversation with other people. Two people have one of their own, whoever opens it.

    :returns: its id, and whether it is new.
    :raises PersonNotFound: 404.
    :raises MessageInvalid: 422, for nobody else or too many.
    """
    others = [one for one in dict.fromkeys(user_ids) if one != user_id]
    if not 1 <= len(others) < MOST_MEMBERS:
        raise MessageInvalid(f"A conversation has 2 to {MOST_MEMBERS} people.")
    _require_people(others)
    if len(others) == 1 and not title.strip():
        return _pair(user_id, others[0])
    with atomic_for(APP):
        conversation = Conversation.objects.create(title=name_of(title))
        _enter(conversation, [user_id], role=Role.OWNER)
        _enter(conversation, others, role=Role.MEMBER)
        hint_after_commit(MONGODB)
    return conversation.pk, True


def add_to_conversation(*, user_id: UUID, conversation_id: UUID, user_ids: Sequence[UUID]) -> None:
    """Add people to a conversation; who leads it may. Who left it comes back as who they were.

    :raises RoomNotFound: 404.
    :raises NotAllowed: 403; to the conversation of two nobody is added.
    :raises PersonNotFound: 404.
    """
    require(standing_of(user_id=user_id, room_id=conversation_id), Action.ADD_MEMBERS)
    _require_people(user_ids)
    with atomic_for(APP):
        conversation = _locked_conversation(conversation_id)
        members = ConversationMember.objects.filter(conversation=conversation)
        members.filter(user_id__in=user_ids).update(left_at=None)
        known = set(members.values_list("user_id", flat=True))
        new = [one for one in dict.fromkeys(user_ids) if one not in known]
        _enter(conversation, new, role=Role.MEMBER)
        if members.current().count() > MOST_MEMBERS:
            raise MessageInvalid(f"A conversation has at most {MOST_MEMBERS} people.")
        hint_after_commit(MONGODB)


def remove_from_conversation(
    *, user_id: UUID, conversation_id: UUID, other_id: UUID, at: dt.datetime
) -> None:
    """Leave a conversation, or remove somebody from one.

    :param at: now.
    :raises RoomNotFound: 404.
    :raises NotAllowed: 403; nobody leaves the conversation of two.
    :raises MemberNotFound: 404.
    """
    standing = standing_of(user_id=user_id, room_id=conversation_id)
    if standing.pair:
        raise NotAllowed("Nobody leaves the conversation of two people.")
    if other_id != user_id:
        require(standing, Action.REMOVE_MEMBERS)
    with atomic_for(APP):
        conversation = _locked_conversation(conversation_id)
        members = ConversationMember.objects.filter(conversation=conversation).current()
        member = members.filter(user_id=other_id).first()
        if member is None:
            raise MemberNotFound("Nobody like that takes part.")
        if member.role == Role.OWNER and other_id != user_id and standing.role != Role.OWNER:
            raise NotAllowed("Only owners remove owners.")
        member.left_at = at
        member.save(update_fields=["left_at"])
        hint_after_commit(MONGODB)
    announce_members([conversation_id])


def _pair(first: UUID, second: UUID) -> tuple[UUID, bool]:
    pair = ":".join(sorted((str(first), str(second))))
    with atomic_for(APP):
        Conversation.objects.bulk_create([Conversation(pair=pair)], ignore_conflicts=True)
        conversation = Conversation.objects.select_for_update().get(pair=pair)
        is_new = not ConversationMember.objects.filter(conversation=conversation).exists()
        if is_new:
            _enter(conversation, [first, second], role=Role.MEMBER)
            hint_after_commit(MONGODB)
    return conversation.pk, is_new


def _enter(conversation: Conversation, user_ids: Iterable[UUID], *, role: str) -> None:
    ConversationMember.objects.bulk_create(
        ConversationMember(conversation=conversation, user_id=one, role=role) for one in user_ids
    )


def _locked_conversation(conversation_id: UUID) -> Conversation:
    found = Conversation.objects.filter(pk=conversation_id).select_for_update().first()
    if found is None:
        raise RoomNotFound("There is no such conversation for you.")
    return found


def _require_people(user_ids: Iterable[UUID]) -> None:
    wanted = set(user_ids)
    known = {person.id for person in people(ids=wanted).values() if person.is_active}
    if wanted - known:
        raise PersonNotFound("There is no such person.")


# Servers ----------------------------------------------------------------------------------------


def create_server(*, user_id: UUID, name: str) -> UUID:
    """Make a server with a first channel; its maker owns it. Returns its id."""
    with atomic_for(APP):
        server = Server.objects.create(name=_given(name))
        Channel.objects.create(server=server, name="general")
        Membership.objects.create(server=server, user_id=user_id, role=Role.OWNER)
    return server.pk


def create_channel(*, user_id: UUID, server_id: UUID, name: str) -> Channel:
    """Make a channel in a server; who leads it may.

    :raises RoomNotFound: 404.
    :raises NotAllowed: 403.
    :raises NameTaken: 409.
    """
    standing = standing_in_server(user_id=user_id, server_id=server_id)
    require(standing, Action.ADD_MEMBERS)
    try:
        with atomic_for(APP):
            return Channel.objects.create(server_id=server_id, name=_given(name))
    except IntegrityError:
        raise NameTaken("The server has a channel of that name.") from None


def add_to_server(*, user_id: UUID, server_id: UUID, user_ids: Sequence[UUID]) -> None:
    """Add people to a server; who leads it may. Who left it comes back as a plain member.

    :raises RoomNotFound: 404.
    :raises NotAllowed: 403.
    :raises PersonNotFound: 404.
    """
    require(standing_in_server(user_id=user_id, server_id=server_id), Action.ADD_MEMBERS)
    _require_people(user_ids)
    with atomic_for(APP):
        members = Membership.objects.filter(server_id=server_id)
        members.filter(user_id__in=user_ids, left_at__isnull=False).update(
            left_at=None, role=Role.MEMBER
        )
        Membership.objects.bulk_create(
            [Membership(server_id=server_id, user_id=one) for one in dict.fromkeys(user_ids)],
            ignore_conflicts=True,
        )


def give_role(*, user_id: UUID, server_id: UUID, other_id: UUID, role: str) -> None:
    """Make somebody owner, moderator or member of a server; owners may.

    :raises RoomNotFound: 404.
    :raises NotAllowed: 403.
    :raises MemberNotFound: 404.
    :raises LastOwner: 409.
    """
    require(standing_in_server(user_id=user_id, server_id=server_id), Action.MANAGE)
    with atomic_for(APP):
        member = _locked_member(server_id, other_id)
        if role != Role.OWNER:
            _keep_an_owner(server_id, member)
        member.role = role
        member.save(update_fields=["role"])


def remove_from_server(*, user_id: UUID, server_id: UUID, other_id: UUID, at: dt.datetime) -> None:
    """Leave a server, or remove somebody from one.

    :param at: now.
    :raises RoomNotFound: 404.
    :raises NotAllowed: 403.
    :raises MemberNotFound: 404.
    :raises LastOwner: 409.
    """
    standing = standing_in_server(user_id=user_id, server_id=server_id)
    if other_id != user_id:
        require(standing, Action.REMOVE_MEMBERS)
    with atomic_for(APP):
        member = _locked_member(server_id, other_id)
        if member.role == Role.OWNER and other_id != user_id and standing.role != Role.OWNER:
            raise NotAllowed("Only owners remove owners.")
        _keep_an_owner(server_id, member)
        member.left_at = at
        member.save(update_fields=["left_at"])
        channels = list(Channel.objects.filter(server_id=server_id).values_list("pk", flat=True))
    announce_members(channels)


def _locked_member(server_id: UUID, user_id: UUID) -> Membership:
    Server.objects.select_for_update().filter(pk=server_id).first()
    member = Membership.objects.filter(server_id=server_id, user_id=user_id).current().first()
    if member is None:
        raise MemberNotFound("Nobody like that belongs to the server.")
    return member


def _keep_an_owner(server_id: UUID, member: Membership) -> None:
    owners = Membership.objects.filter(server_id=server_id, role=Role.OWNER).current()
    if member.role == Role.OWNER and not owners.exclude(pk=member.pk).exists():
        raise LastOwner("A server keeps at least one owner.")


def _given(name: str) -> str:
    name = name_of(name)
    if not name:
        raise MessageInvalid("A name has at least one character.")
    return name


# Reading ----------------------------------------------------------------------------------------


def mark_read(*, user_id: UUID, room_id: UUID, message_id: UUID, at: dt.datetime) -> None:
    """Remember that somebody has read a room up to a message. A marker never goes back.

    :param at: now.
    :raises RoomNotFound: 404.
    """
    require(standing_of(user_id=user_id, room_id=room_id), Action.READ)
    with atomic_for(APP):
        mine = ReadMarker(user_id=user_id, room_id=room_id, message_id=message_id, updated_at=at)
        ReadMarker.objects.bulk_create([mine], ignore_conflicts=True)
        ReadMarker.objects.filter(
            user_id=user_id, room_id=room_id, message_id__lt=message_id
        ).update(message_id=message_id, updated_at=at)
