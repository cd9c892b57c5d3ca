"""Messages: written, edited, deleted.

Direct ones go through both stores (`messaging.stores.doors`), group messages to PostgreSQL alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from common.errors import PolystoreError
from common.ids import uuid7
from messaging.policies import Action, require
from messaging.queries.history import message_for, window_ms
from messaging.queries.rooms import standing_of
from messaging.queries.standing import Kind, Standing
from messaging.services.live import announce
from messaging.services.texts import content_of, file_url_of
from messaging.stores.doors import BothStoresDown, from_postgres_or, sync_to_both_databases
from messaging.stores.group import GroupMessages
from messaging.stores.mongodb import MongoMessages
from messaging.stores.postgres import PostgresMessages
from messaging.stores.states import (
    State,
    derived_id,
    fingerprint_of,
    first_state,
    request_of,
    time_of,
)
from messaging.stores.versions import next_version, now_ms

TRIES: Final = 3
LONGEST_KEY: Final = 200
_MONGO: Final = MongoMessages()
_POSTGRES: Final = PostgresMessages()
_GROUP: Final = GroupMessages()


class KeyUsedOtherwise(PolystoreError):
    """The same key came before with another message."""

    code, status, title = "messaging.idempotency_key_reused", 422, "Idempotency key reused"
    remedy = "Send a new Idempotency-Key with each new message."


class MessageDeleted(PolystoreError):
    """A deleted message is not edited."""

    code, status, title = "messaging.message_deleted", 409, "The message is deleted"
    remedy = "Write a new one."


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A message that is stored."""

    state: State
    standing: Standing
    replayed: bool
    """An earlier request with the same key made it."""


def post_message(
    *, user_id: UUID, room_id: UUID, content: str, file_url: str | None = None, key: str | None
) -> Posted:
    """Write a message, and return it when nothing can lose it any more.

    :param key: the same one again returns the message that it made. A UUIDv7 of the last seconds
        keeps that promise whichever store each request met.
    :raises RoomNotFound: 404.
    :raises MessageInvalid: 422.
    :raises KeyUsedOtherwise: 422, for the key of another message.
    :raises BothStoresDown: 503.
    """
    content, file_url = content_of(content), file_url_of(file_url)
    standing = standing_of(user_id=user_id, room_id=room_id)
    require(standing, Action.POST)
    request = request_of(author_id=user_id, key=key)
    fingerprint = fingerprint_of(room_id=room_id, content=content, file_url=file_url)
    derived = derived_id(
        request=request, fingerprint=fingerprint, key=key or "", window_ms=window_ms() // 2
    )

    def first(message_id: UUID) -> State:
        return first_state(
            message_id=message_id,
            room_id=room_id,
            member_id=standing.member_id,
            author_id=user_id,
            content=content,
            file_url=file_url,
            request=request,
            fingerprint=fingerprint if request else "",
        )

    known = _made_before(request, standing) if request and derived is None else None
    posted = known or _posted(first, standing, derived)
    if posted.replayed and posted.state.fingerprint != fingerprint:
        raise KeyUsedOtherwise("This Idempotency-Key was sent with another message.")
    if not posted.replayed:
        announce(posted.state, kind=standing.kind)
    return posted


def edit_message(
    *, user_id: UUID, message_id: UUID, content: str, file_url: str | None = None
) -> tuple[State, Standing]:
    """Change what a message says; its author may. Of two edits at once the later one stays.

    :raises MessageNotFound: 404.
    :raises NotAllowed: 403.
    :raises MessageDeleted: 409, also when it is deleted at the same time.
    """
    content, file_url = content_of(content), file_url_of(file_url)
    state, standing = message_for(user_id=user_id, message_id=message_id)
    require(standing, Action.EDIT, message=state)
    if state.deleted:
        raise MessageDeleted("The message was deleted.")
    version = next_version(after=state.version)
    kept = _changed(state.edited(content=content, file_url=file_url, version=version), standing)
    if kept.deleted:
        raise MessageDeleted("The message was deleted.")
    return kept, standing


def delete_message(*, user_id: UUID, message_id: UUID) -> State:
    """Delete a message; its author may, and whoever leads the room. Deleted ones stay deleted.

    :raises MessageNotFound: 404.
    :raises NotAllowed: 403.
    """
    state, standing = message_for(user_id=user_id, message_id=message_id)
    require(standing, Action.DELETE, message=state)
    if state.deleted:
        return state
    return _changed(state.as_deleted(next_version(after=state.version)), standing)


def _made_before(request: str, standing: Standing) -> Posted | None:
    """Return what a key made that PostgreSQL knows of; MongoDB is asked when it is written."""
    if standing.kind is Kind.CHANNEL:
        return None
    known = from_postgres_or(
        lambda: _POSTGRES.of_request(request), lambda: None, "ROOM_MESSAGES_POST_DM"
    )
    return Posted(state=known, standing=standing, replayed=True) if known else None


def _posted(first: Callable[[UUID], State], standing: Standing, derived: UUID | None) -> Posted:
    """Store a new message under an id that no follower has left behind."""
    message_id = derived or uuid7()
    for _ in range(TRIES):
        given = first(message_id)
        made = _created(given, standing)
        if made is not given or now_ms() - time_of(made.id) <= window_ms():
            return Posted(state=made, standing=standing, replayed=made is not given)
        # It took so long that followers may be past it: nobody was told of it yet.
        withdrawn = made.as_deleted(next_version(after=made.version))
        _changed(withdrawn._replace(request="", fingerprint=""), standing)
        message_id = uuid7()
    raise BothStoresDown("The stores take too long.")


def _created(state: State, standing: Standing) -> State:
    if standing.kind is Kind.CHANNEL:
        return _GROUP.create(state)
    return sync_to_both_databases(
        write_mongo=lambda: _MONGO.create(state),
        copy_to_postgres=_copy,
        write_postgres=lambda: _POSTGRES.create(state),
        operation="ROOM_MESSAGES_POST_DM",
    ).value


def _changed(state: State, standing: Standing) -> State:
    if standing.kind is Kind.CHANNEL:
        kept = _GROUP.change(state)
    else:
        kept = sync_to_both_databases(
            write_mongo=lambda: _MONGO.change(state),
            copy_to_postgres=_copy,
            write_postgres=lambda: _POSTGRES.change(state),
            operation="MESSAGE_DELETE_DM" if state.deleted else "MESSAGE_EDIT_DM",
        ).value
    announce(kept, kind=standing.kind)
    return kept


def _copy(state: State) -> None:
    _POSTGRES.put([state])
    _MONGO.copied([state])
