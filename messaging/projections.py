"""What MongoDB shows of rows that live in PostgreSQL, and who brings it what PostgreSQL took alone.

- `conversations`: who takes part. While PostgreSQL is down, membership is read here.
- `messages`: group messages, for search.
- Direct messages that were written while MongoDB was away: a consumer reads their rows and hands
  them to the store, which keeps the newer state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

from django.db import router
from django.db.models import Model, QuerySet

from databases.stores.mongo import Document, Index, declare_index
from messaging.models import Conversation, ConversationMember, GroupMessage
from messaging.services.catching_up import bring_to_mongodb
from messaging.stores.mongodb import INDEXES
from messaging.stores.postgres import AGGREGATE, APP
from messaging.stores.states import words_of
from outbox.events import Event
from outbox.registry import Consumer, Projection, subscribe

CONVERSATIONS: Final = "conversations"
MESSAGES: Final = "messages"


def connect() -> None:
    """Subscribe; safe to call twice."""
    subscribe(
        Projection(
            name=CONVERSATIONS,
            aggregate_type="conversation",
            load=load_conversations,
            page=_pages(Conversation),
            indexes=[Index(collection=CONVERSATIONS, keys=[("members.user_id", 1), ("_id", -1)])],
        )
    )
    subscribe(
        Projection(
            name=MESSAGES,
            aggregate_type="message",
            load=load_group_messages,
            page=_pages(GroupMessage),
            indexes=[Index(collection=MESSAGES, keys=[("channel_id", 1), ("words", 1)])],
        )
    )
    subscribe(
        Consumer(
            name="messaging.direct_messages",
            app_label=APP,
            aggregate_types=frozenset({AGGREGATE}),
            handle=_bring,
        )
    )
    for index in INDEXES:
        declare_index(index)


def load_conversations(ids: Sequence[str]) -> dict[str, Document]:
    """Return conversations with who takes part now, in two queries."""
    documents: dict[str, Document] = {
        str(row.pk): {
            "title": row.title,
            "pair": row.pair is not None,
            "created_at": row.created_at,
            "members": [],
        }
        for row in _primary(Conversation).filter(pk__any_of=ids)
    }
    members = _primary(ConversationMember).filter(conversation_id__any_of=ids, left_at=None)
    for member in members.order_by("pk"):
        document = documents.get(str(member.conversation_id))
        if document is not None:
            document["members"].append(
                {"id": str(member.pk), "user_id": str(member.user_id), "role": member.role}
            )
    return documents


def load_group_messages(ids: Sequence[str]) -> dict[str, Document]:
    """Return group messages as a search shows them."""
    rows = _primary(GroupMessage).filter(pk__any_of=ids)
    return {str(row.pk): _group_message(row) for row in rows}


def _group_message(row: GroupMessage) -> Document:
    return {
        "channel_id": str(row.channel_id),
        "member_id": str(row.member_id),
        "author_id": str(row.author_id),
        "content": row.content,
        "file_url": row.file_url,
        "deleted": row.deleted,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "rank": row.rank,
        "words": words_of(row.content),
    }


def _bring(events: Sequence[Event]) -> None:
    bring_to_mongodb(list(dict.fromkeys(UUID(event.aggregate_id) for event in events)))


def _primary(model: type[Model]) -> QuerySet[Any]:
    return model._default_manager.using(router.db_for_write(model))


def _pages(model: type[Model]) -> Callable[[str | None, int], Sequence[str]]:
    def page(after: str | None, limit: int) -> Sequence[str]:
        rows = _primary(model).order_by("pk")
        if after is not None:
            rows = rows.filter(pk__gt=after)
        return [str(key) for key in rows.values_list("pk", flat=True)[:limit]]

    return page
