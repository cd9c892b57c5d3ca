"""Find people by name: by the beginnings of its words, whatever their capitals and accents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from accounts.queries import find_people as find_in_postgres
from accounts.queries import fold
from common.errors import PolystoreError
from common.pagination import Cursor, CursorInvalid, KeysetPage, decode_cursor, encode_cursor
from databases.fallback import mongodb_or
from tracker.queries.own import blocked_ids
from tracker.stores import Found
from tracker.stores import find_people as find_in_mongodb

MOST: Final = 50
MOST_WORDS: Final = 5


class SearchTooShort(PolystoreError):
    """There is nothing to search by."""

    code, status, title = "tracker.search_too_short", 422, "Too little to search by"
    remedy = "Send at least two letters of a name."


def search_people(
    *, user_id: UUID, text: str, cursor: str | None = None, limit: int = 20
) -> KeysetPage[Found]:
    """Return a page of active users whose name has words that begin as those of `text` do.

    Not found are the caller, whom the caller blocks, and who blocks the caller. Addresses are
    never looked at. Pages go forwards only.

    :raises SearchTooShort: 422, for less than two letters.
    :raises CursorInvalid: 422.
    """
    words = fold(text).split()[:MOST_WORDS]
    if max(map(len, words), default=0) < 2:
        raise SearchTooShort("A search takes at least two letters.")
    limit = min(max(limit, 1), MOST)
    after = _place(cursor) if cursor else None
    without = {user_id, *blocked_ids(user_id=user_id)}
    found = mongodb_or(
        lambda: find_in_mongodb(words=words, without=without, after=after, limit=limit + 1),
        lambda: _in_postgres(words, without, after, limit + 1),
    )
    items = list(found[:limit])
    more = len(found) > limit
    return KeysetPage(
        items=items,
        next=encode_cursor(Cursor(key=(items[-1].search_name, items[-1].id))) if more else None,
        previous=None,
    )


def _in_postgres(
    words: Sequence[str], without: set[UUID], after: tuple[str, UUID] | None, limit: int
) -> list[Found]:
    people = find_in_postgres(words=words, without=without, after=after, limit=limit)
    return [Found(person.search_name, person.id, person.name) for person in people]


def _place(text: str) -> tuple[str, UUID]:
    name, key = decode_cursor(text, length=2).key
    try:
        if not isinstance(name, str) or "\0" in name:
            raise ValueError
        name.encode()  # half of a surrogate pair raises UnicodeEncodeError, a ValueError
        return name, UUID(key)
    except (ValueError, TypeError, AttributeError):
        raise CursorInvalid("The cursor belongs to another list.") from None
