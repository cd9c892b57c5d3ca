"""What messaging keeps of people, for their export and their leaving."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django.db.models import Q

from accounts.leaving.registry import Holder, Leaver
from accounts.leaving.rows import delete_rows_of, rows_of, rows_where, some_keys
from databases.stores import mongo
from messaging.models import (
    Channel,
    ConversationMember,
    DirectMessage,
    GroupMessage,
    Membership,
    ReadMarker,
)
from messaging.policies import NotAllowed
from messaging.queries.standing import MessageNotFound
from messaging.services.catching_up import copy_marked
from messaging.services.messages import delete_message

_INNER: Final = ("rank", "request", "fingerprint", "search")


def forget_person(leaver: Leaver) -> None:
    """Delete what a person wrote, in both stores, and up to where they have read.

    What they wrote in rooms that they left before stays, without a name.

    :raises databases.breaker.AliasUnavailable: while MongoDB is away, which may hold messages of
        theirs that PostgreSQL has not seen; what it has seen is deleted by then.
    """
    _delete_known(leaver.user_id)
    if mongo.configured():
        copy_marked()  # unless the sweep was first: what it copied is known only now, too
        _delete_known(leaver.user_id)
    delete_rows_of(ReadMarker, "user_id", user_id=leaver.user_id)


def _delete_known(user_id: UUID) -> None:
    for model, wanted in _written_by(user_id):
        for keys in some_keys(model, wanted & Q(deleted=False)):
            for message_id in keys:
                _delete(user_id, message_id)


def _delete(user_id: UUID, message_id: UUID) -> None:
    try:
        delete_message(user_id=user_id, message_id=message_id)
    except (MessageNotFound, NotAllowed):
        return


def _written_by(user_id: UUID) -> tuple[tuple[Any, Q], ...]:
    """Return the kinds of messages, and which of them, found by the rooms: they have the index."""
    conversations = ConversationMember.objects.filter(user_id=user_id).values("conversation_id")
    servers = Membership.objects.filter(user_id=user_id).values("server_id")
    channels = Channel.objects.filter(server_id__in=servers).values("pk")
    return (
        (DirectMessage, Q(conversation_id__in=conversations, author_id=user_id)),
        (GroupMessage, Q(channel_id__in=channels, author_id=user_id)),
    )


HOLDER: Final = Holder(
    app_label="messaging",
    sections={
        "directMessages": lambda user_id: rows_where(*_written_by(user_id)[0], without=_INNER),
        "groupMessages": lambda user_id: rows_where(*_written_by(user_id)[1], without=_INNER),
        "conversations": lambda user_id: rows_of(ConversationMember, "user_id", user_id=user_id),
        "servers": lambda user_id: rows_of(Membership, "user_id", user_id=user_id),
    },
    forget=forget_person,
)
