"""Servers, their channels and members over HTTP."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Status

from common.access import signed_in, user_id_of
from messaging.queries.rooms import members_of_server, servers_of, standing_in_server
from messaging.schemas.shown import server_answers
from messaging.schemas.wire import (
    ChannelAnswer,
    MembersAnswer,
    PeopleBody,
    RoleBody,
    RoomMemberAnswer,
    ServerAnswer,
    ServerBody,
    ServersAnswer,
)
from messaging.services import rooms

router = Router()


@router.get("", response=ServersAnswer, summary="Your servers and their channels")
@signed_in("messages:read")
def list_servers(request: HttpRequest) -> ServersAnswer:
    """List your servers."""
    user_id = user_id_of(request)
    items = server_answers(user_id, servers_of(user_id=user_id))
    return ServersAnswer(items=items, next=None, previous=None)


@router.post("", response={201: ServerAnswer}, summary="Make a server")
@signed_in("messages:write")
def create_server(request: HttpRequest, body: ServerBody) -> Status[ServerAnswer]:
    """Make a server, which you own, with a first channel."""
    user_id = user_id_of(request)
    server_id = rooms.create_server(user_id=user_id, name=body.name)
    mine = [seen for seen in servers_of(user_id=user_id) if seen.id == server_id]
    return Status(201, server_answers(user_id, mine)[0])


@router.post("/{uuid:server_id}/channels", response={201: ChannelAnswer}, summary="Make a channel")
@signed_in("messages:write")
def create_channel(
    request: HttpRequest, server_id: UUID, body: ServerBody
) -> Status[ChannelAnswer]:
    """Make a channel in a server that you lead."""
    made = rooms.create_channel(user_id=user_id_of(request), server_id=server_id, name=body.name)
    return Status(201, ChannelAnswer(id=made.pk, name=made.name, unread=0))


@router.get("/{uuid:server_id}/members", response=MembersAnswer, summary="Who belongs to it")
@signed_in("messages:read")
def list_members(request: HttpRequest, server_id: UUID) -> MembersAnswer:
    """List the members of a server of yours, up to 1,000."""
    standing_in_server(user_id=user_id_of(request), server_id=server_id)
    items = [
        RoomMemberAnswer.model_validate(member) for member in members_of_server(server_id=server_id)
    ]
    return MembersAnswer(items=items, next=None, previous=None)


@router.post("/{uuid:server_id}/members", response={204: None}, summary="Add people")
@signed_in("messages:write")
def add_members(request: HttpRequest, server_id: UUID, body: PeopleBody) -> Status[None]:
    """Add people to a server that you lead."""
    rooms.add_to_server(user_id=user_id_of(request), server_id=server_id, user_ids=body.user_ids)
    return Status(204, None)


@router.patch(
    "/{uuid:server_id}/members/{uuid:other_id}", response={204: None}, summary="Give a role"
)
@signed_in("messages:write")
def give_role(
    request: HttpRequest, server_id: UUID, other_id: UUID, body: RoleBody
) -> Status[None]:
    """Make somebody owner, moderator or member of a server that you own."""
    rooms.give_role(
        user_id=user_id_of(request), server_id=server_id, other_id=other_id, role=body.role
    )
    return Status(204, None)


@router.delete(
    "/{uuid:server_id}/members/{uuid:other_id}",
    response={204: None},
    summary="Leave, or remove somebody",
)
@signed_in("messages:write")
def remove_member(request: HttpRequest, server_id: UUID, other_id: UUID) -> Status[None]:
    """Leave a server, or remove somebody from one that you lead."""
    rooms.remove_from_server(
        user_id=user_id_of(request), server_id=server_id, other_id=other_id, at=timezone.now()
    )
    return Status(204, None)
