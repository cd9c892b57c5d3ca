"""Find messages in one's own rooms by the beginnings of their words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from common.errors import PolystoreError
from common.pagination import Cursor, CursorInvalid, KeysetPage, decode_cursor, encode_cursor
from messaging.queries.history import merged, shown_from_both
from messaging.queries.rooms import rooms_of
from messaging.queries.standing import Kind
from messaging.stores.doors import from_postgres_or, with_mongo_fallback
from messaging.stores.group import GroupMessages, search_in_mongodb
from messaging.stores.mongodb import MongoMessages
from messaging.stores.postgres import PostgresMessages
from messaging.stores.states import State, newer, words_of

MOST: Final = 50
MOST_WORDS: Final = 8
_MONGO: Final = MongoMessages(before_showing=shown_from_both)
_POSTGRES: Final = PostgresMessages()
_GROUP: Final = GroupMessages()


class NothingToFind(PolystoreError):
    """There is no word to search by."""

    code, status, title = "messaging.nothing_to_find", 422, "Too little to search by"
    remedy = "Send at least one word of two letters."


def search_messages(
    *, user_id: UUID, text: str, cursor: str | None = None, limit: int = 20
) -> KeysetPage[tuple[State, Kind]]:
    """Return a page of messages in one's rooms that have words beginning as those of `text` do.

    The newest come first; deleted ones are not found. Pages go forwards only.

    :raises NothingToFind: 422.
    :raises CursorInvalid: 422.
    """
    words = words_of(text)[:MOST_WORDS]
    if max(map(len, words), default=0) < 2:
        raise NothingToFind("A search takes at least two letters.")
    limit = min(max(limit, 1), MOST)
    below = _place(cursor) if cursor else None
    conversations, channels = rooms_of(user_id=user_id)
    of_channels = set(channels or ())
    found = with_mongo_fallback(
        lambda: _in_mongodb(conversations, channels or (), words, below, limit + 1),
        lambda: _in_postgres(conversations, channels or (), words, below, limit + 1),
        "MESSAGES_SEARCH",
    )
    found.sort(key=lambda state: state.id, reverse=True)
    items = [
        (state, Kind.CHANNEL if state.room_id in of_channels else Kind.CONVERSATION)
        for state in found[:limit]
    ]
    more = len(found) > limit
    return KeysetPage(
        items=items,
        next=encode_cursor(Cursor(key=(items[-1][0].id,))) if more else None,
        previous=None,
    )


def _in_mongodb(
    conversations: Sequence[UUID],
    channels: Sequence[UUID],
    words: Sequence[str],
    below: UUID | None,
    limit: int,
) -> list[State]:
    direct = _MONGO.search(conversations, words, below=below, limit=limit)
    group = search_in_mongodb(channels, words, below=below, limit=limit)
    # MongoDB may be behind by an edit or a deletion: what is deleted is not found any more.
    known: dict[UUID, State] = from_postgres_or(
        lambda: _known(direct, group), dict, "MESSAGES_SEARCH"
    )
    found = [newer(state, known.get(state.id, state)) for state in (*direct, *group)]
    return [state for state in found if not state.deleted]


def _known(direct: Sequence[State], group: Sequence[State]) -> dict[UUID, State]:
    return _POSTGRES.states_of([state.id for state in direct]) | _GROUP.states_of(
        [state.id for state in group]
    )


def _in_postgres(
    conversations: Sequence[UUID],
    channels: Sequence[UUID],
    words: Sequence[str],
    below: UUID | None,
    limit: int,
) -> list[State]:
    return merged(
        _POSTGRES.search(conversations, words, below=below, limit=limit),
        _GROUP.search(channels, words, below=below, limit=limit),
    )


def _place(text: str) -> UUID:
    try:
        return UUID(str(decode_cursor(text, length=1).key[0]))
    except ValueError:
        raise CursorInvalid("The cursor belongs to another list.") from None
