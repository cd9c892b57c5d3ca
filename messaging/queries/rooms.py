"""Who belongs to a room, and which rooms somebody belongs to.

From the primary, never a replica: a stale row would let somebody in who was removed. While the
primary is down, conversations are read from MongoDB, if what it knows is young enough; channels are
not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from accounts.queries import NOBODY, people
from common.pagination import Cursor, CursorInvalid, KeysetPage, decode_cursor, encode_cursor
from databases.breaker import AliasUnavailable
from databases.placement import alias_of
from databases.stores import mongo
from messaging.models import Channel, ConversationMember, Membership
from messaging.queries.standing import Kind, RoomNotFound, Standing
from messaging.stores.doors import POSTGRES, from_postgres_or, mongo_is_away
from messaging.stores.postgres import APP

STATE: Final = "messaging_state"
MEMBERSHIP: Final = "membership"
_LIVE: Final = {"_live": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Somebody in a room, as others see them."""

    id: UUID
    user_id: UUID
    role: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationSeen:
    """A conversation as one of its members sees it."""

    id: UUID
    title: str
    pair: bool
    created_at: dt.datetime
    members: Sequence[Member]
    unread: int | None = None
    """Messages of others behind the read marker, 100 for more; None while nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSeen:
    """A channel as a member of its server sees it."""

    id: UUID
    name: str
    unread: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSeen:
    """A server as one of its members sees it."""

    id: UUID
    name: str
    role: str
    created_at: dt.datetime
    channels: Sequence[ChannelSeen]


def standing_of(*, user_id: UUID, room_id: UUID) -> Standing:
    """Return what somebody is in a room.

    :raises RoomNotFound: also for whoever does not belong to it.
    :raises AliasUnavailable: when nobody can say.
    """
    found = from_postgres_or(
        lambda: _in_postgres(user_id, room_id),
        lambda: _in_mongodb(user_id, room_id),
        "ROOM_MEMBER_GET",
    )
    if found is None:
        raise RoomNotFound("There is no such room for you.")
    return found


def standing_in_server(*, user_id: UUID, server_id: UUID) -> Standing:
    """Return what somebody is in a server. Raises RoomNotFound."""
    rows = Membership.objects.using(alias_of(APP)).of(user_id).current()
    found = rows.filter(server_id=server_id).first()
    if found is None:
        raise RoomNotFound("There is no such server for you.")
    return Standing(
        room_id=server_id,
        kind=Kind.CHANNEL,
        user_id=user_id,
        member_id=found.pk,
        role=found.role,
    )


def conversations_of(
    *, user_id: UUID, cursor: str | None = None, limit: int = 50
) -> KeysetPage[ConversationSeen]:
    """Return a page of somebody's conversations, the newest first; forwards only.

    :raises CursorInvalid: 422.
    """
    below = _place(cursor) if cursor else None
    found = from_postgres_or(
        lambda: _conversations_in_postgres(user_id, below, limit + 1),
        lambda: _conversations_in_mongodb(user_id, below, limit + 1),
        "CONVERSATIONS_GET",
    )
    items = found[:limit]
    more = len(found) > limit
    return KeysetPage(
        items=items,
        next=encode_cursor(Cursor(key=(items[-1].id,))) if more else None,
        previous=None,
    )


def conversation_of(*, user_id: UUID, conversation_id: UUID) -> ConversationSeen:
    """Return one conversation of somebody's. Raises RoomNotFound."""
    found = from_postgres_or(
        lambda: _conversations_in_postgres(user_id, None, 1, only=conversation_id),
        lambda: _conversations_in_mongodb(user_id, None, 1, only=conversation_id),
        "CONVERSATION_GET",
    )
    if not found:
        raise RoomNotFound("There is no such conversation for you.")
    return found[0]


def servers_of(*, user_id: UUID) -> list[ServerSeen]:
    """Return somebody's servers with their channels, the newest first; 200 at most."""
    alias = alias_of(APP)
    mine = Membership.objects.using(alias).of(user_id).current().select_related("server")
    rows = list(mine.order_by("-server_id")[:200])
    channels: dict[UUID, list[ChannelSeen]] = {}
    for channel in Channel.objects.using(alias).filter(server__in=[row.server_id for row in rows]):
        channels.setdefault(channel.server_id, []).append(
            ChannelSeen(id=channel.pk, name=channel.name)
        )
    return [
        ServerSeen(
            id=row.server_id,
            name=row.server.name,
            role=row.role,
            created_at=row.server.created_at,
            channels=channels.get(row.server_id, []),
        )
        for row in rows
    ]


def members_of_server(*, server_id: UUID) -> list[Member]:
    """Return who belongs to a server, in the order in which they came; 1,000 at most."""
    rows = Membership.objects.using(alias_of(APP)).current().filter(server_id=server_id)
    found = list(rows.order_by("pk")[:1_000])
    names = names_of(row.user_id for row in found)
    return [
        Member(id=row.pk, user_id=row.user_id, role=row.role, name=names.get(row.user_id, NOBODY))
        for row in found
    ]


def rooms_of(*, user_id: UUID) -> tuple[list[UUID], list[UUID] | None]:
    """Return the conversations and channels that somebody belongs to.

    While PostgreSQL is down nobody knows the channels: None.
    """
    return from_postgres_or(
        lambda: _rooms_in_postgres(user_id),
        lambda: ([seen.id for seen in _conversations_in_mongodb(user_id, None, 1_000)], None),
        "ROOMS_GET",
    )


def names_of(user_ids: Iterable[UUID]) -> Mapping[UUID, str]:
    """Return users' names; unknown ones are missing."""
    wanted = set(user_ids)
    if not wanted:
        return {}
    return from_postgres_or(
        lambda: {person.id: person.name for person in people(ids=wanted).values()},
        lambda: _names_in_mongodb(wanted),
        "NAMES_GET",
    )


def _in_postgres(user_id: UUID, room_id: UUID) -> Standing | None:
    alias = alias_of(APP)
    mine = ConversationMember.objects.using(alias).of(user_id).current()
    row = mine.filter(conversation_id=room_id).values_list("pk", "role", "conversation__pair")
    for pk, role, pair in row:
        return _standing(user_id, room_id, Kind.CONVERSATION, pk, role, pair=pair is not None)
    belongs = Membership.objects.using(alias).of(user_id).current()
    for pk, role in belongs.filter(server__channels=room_id).values_list("pk", "role"):
        return _standing(user_id, room_id, Kind.CHANNEL, pk, role)
    return None


def _in_mongodb(user_id: UUID, room_id: UUID) -> Standing | None:
    wanted = {"_id": str(room_id), "members.user_id": str(user_id)}
    for row in _documents(wanted, 1):
        mine = next(one for one in row["members"] if one["user_id"] == str(user_id))
        return _standing(
            user_id,
            room_id,
            Kind.CONVERSATION,
            UUID(mine["id"]),
            mine["role"],
            pair=row["pair"],
        )
    if not _known_in_mongodb(room_id):
        # It may be a channel, of which MongoDB knows nothing.
        raise AliasUnavailable(POSTGRES)
    return None


def _standing(
    user_id: UUID, room_id: UUID, kind: Kind, member_id: UUID, role: str, *, pair: bool = False
) -> Standing:
    return Standing(
        room_id=room_id, kind=kind, user_id=user_id, member_id=member_id, role=role, pair=pair
    )


def _conversations_in_postgres(
    user_id: UUID, below: UUID | None, limit: int, *, only: UUID | None = None
) -> list[ConversationSeen]:
    alias = alias_of(APP)
    mine = ConversationMember.objects.using(alias).of(user_id).current()
    if only is not None:
        mine = mine.filter(conversation_id=only)
    if below is not None:
        mine = mine.filter(conversation_id__lt=below)
    rows = list(mine.select_related("conversation").order_by("-conversation_id")[:limit])
    ids = [row.conversation_id for row in rows]
    others = ConversationMember.objects.using(alias).current().filter(conversation_id__in=ids)
    members: dict[UUID, list[ConversationMember]] = {}
    for member in others.order_by("pk"):
        members.setdefault(member.conversation_id, []).append(member)
    names = names_of(member.user_id for some in members.values() for member in some)
    return [
        ConversationSeen(
            id=row.conversation_id,
            title=row.conversation.title,
            pair=row.conversation.pair is not None,
            created_at=row.conversation.created_at,
            members=[
                Member(
                    id=member.pk,
                    user_id=member.user_id,
                    role=member.role,
                    name=names.get(member.user_id, NOBODY),
                )
                for member in members.get(row.conversation_id, [])
            ],
        )
        for row in rows
    ]


def _conversations_in_mongodb(
    user_id: UUID, below: UUID | None, limit: int, *, only: UUID | None = None
) -> list[ConversationSeen]:
    wanted: dict[str, Any] = {"members.user_id": str(user_id)}
    if below is not None:
        wanted["_id"] = {"$lt": str(below)}
    if only is not None:
        wanted["_id"] = str(only)
    rows = _documents(wanted, limit)
    names = _names_in_mongodb({UUID(one["user_id"]) for row in rows for one in row["members"]})
    return [
        ConversationSeen(
            id=UUID(row["_id"]),
            title=row["title"],
            pair=row["pair"],
            created_at=row["created_at"],
            members=[
                Member(
                    id=UUID(one["id"]),
                    user_id=UUID(one["user_id"]),
                    role=one["role"],
                    name=names.get(UUID(one["user_id"]), NOBODY),
                )
                for one in row["members"]
            ],
        )
        for row in rows
    ]


def _documents(wanted: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
    """Return conversations as MongoDB shows them.

    :raises AliasUnavailable: naming PostgreSQL, when what MongoDB knows is too old: somebody may
        have been removed since.
    """
    try:
        with mongo.database() as database:
            known = database[STATE].find_one({"_id": MEMBERSHIP}) or {}
            oldest = timezone.now() - dt.timedelta(seconds=settings.MESSAGING_MEMBERSHIP_SECONDS)
            if known.get("as_of", oldest) <= oldest:
                raise AliasUnavailable(POSTGRES)
            found = database["conversations"].find({**_LIVE, **wanted}).sort("_id", -1)
            return list(found.limit(limit))
    except mongo.MongoNotConfigured:
        raise AliasUnavailable(POSTGRES) from None
    except Exception as error:
        if isinstance(error, AliasUnavailable) or not mongo_is_away(error):
            raise
        raise AliasUnavailable(mongo.STORE) from error


def _known_in_mongodb(room_id: UUID) -> bool:
    with mongo.database() as database:
        return database["conversations"].find_one({**_LIVE, "_id": str(room_id)}) is not None


def _names_in_mongodb(user_ids: Iterable[UUID]) -> dict[UUID, str]:
    wanted = [str(one) for one in user_ids]
    with mongo.database() as database:
        found = database["users"].find({**_LIVE, "_id": {"$in": wanted}}, {"name": 1})
        return {UUID(row["_id"]): row["name"] or NOBODY for row in found}


def _rooms_in_postgres(user_id: UUID) -> tuple[list[UUID], list[UUID] | None]:
    alias = alias_of(APP)
    mine = ConversationMember.objects.using(alias).of(user_id).current()
    channels = Channel.objects.using(alias).filter(
        server__memberships__user_id=user_id, server__memberships__left_at=None
    )
    return (
        list(mine.values_list("conversation_id", flat=True)),
        list(channels.values_list("pk", flat=True)),
    )


def _place(text: str) -> UUID:
    try:
        return UUID(str(decode_cursor(text, length=1).key[0]))
    except ValueError:
        raise CursorInvalid("The cursor belongs to another list.") from None
