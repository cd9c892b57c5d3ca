"""Messages of a room: pages, changes, search. What either store has, once, in one order.

While one store has messages that the other lacks, pages merge them. PostgreSQL is asked first for
what MongoDB lacks: whatever is brought there meanwhile is then seen in the one or in the other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.conf import settings

from common.errors import PolystoreError
from common.pagination import KeysetPage
from databases.stores import mongo
from messaging.queries.rooms import standing_of
from messaging.queries.standing import Kind, MessageNotFound, Standing
from messaging.stores.cursors import Asked, Following, decode_before, encode_before
from messaging.stores.doors import from_postgres_or, with_mongo_fallback
from messaging.stores.group import GroupMessages
from messaging.stores.mongodb import MongoMessages
from messaging.stores.postgres import PostgresMessages
from messaging.stores.states import State, newer
from messaging.stores.versions import now_ms

MOST: Final = 100
MOST_CHANGES: Final = 1_000
_POSTGRES: Final = PostgresMessages()
_GROUP: Final = GroupMessages()


def shown_from_both(marked: list[State]) -> None:
    """Have PostgreSQL take what MongoDB alone may have, before anybody is shown it.

    Its writer is about to, or was ended; whoever shows it does not rely on that. While PostgreSQL
    is away, it is shown all the same.
    """

    def copied() -> None:
        _POSTGRES.put(marked)

    from_postgres_or(copied, lambda: None, "ROOM_MESSAGES_GET_DM")


_MONGO: Final = MongoMessages(before_showing=shown_from_both)


class TwoCursors(PolystoreError):
    """A page lies before one place or after another."""

    code, status, title = "messaging.two_cursors", 422, "Two cursors"
    remedy = "Send `before` or `after`."


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What the stores gave, and which of them it shows all of."""

    states: Sequence[State]
    asked: Asked


def window_ms() -> int:
    """Return how far cursors look back."""
    return int(settings.MESSAGING_LOOKBACK_SECONDS) * 1000


def page_of(
    standing: Standing, *, before: str | None = None, after: str | None = None, limit: int = 50
) -> KeysetPage[State]:
    """Return a page of a room's messages, the newest first: the last ones without any cursor.

    `next` leads to older messages; it is sent as `before`. `previous` leads to newer ones and is
    always there; it is sent as `after`. What came before that cursor was given may come again.

    :raises CursorInvalid: 422.
    :raises TwoCursors: 422.
    """
    limit = min(max(limit, 1), MOST)
    if before is not None and after is not None:
        raise TwoCursors("Both `before` and `after` were sent.")
    if after is not None:
        return _following(standing, Following.decode(after), limit)
    return _backwards(standing, decode_before(before) if before is not None else None, limit)


def _backwards(standing: Standing, than: UUID | None, limit: int) -> KeysetPage[State]:
    now = now_ms()
    read = _older(standing, than, limit + 1)
    items = list(read.states[:limit])
    full = len(read.states) > limit
    since = items[-1].id if items else UUID(int=0)
    upto = items[0].id if than is not None and items else than
    start = Following.of_now(now=now, window=window_ms(), asked=read.asked, since=since, upto=upto)
    return KeysetPage(
        items=items,
        next=encode_before(items[-1].id) if full else None,
        previous=start.encode(),
    )


def _following(standing: Standing, cursor: Following, limit: int) -> KeysetPage[State]:
    now, window = now_ms(), window_ms()
    read = _later(standing, lambda asked: cursor.pass_of(asked, now=now, window=window).last,
                  limit + 1)  # fmt: skip
    items = list(read.states[:limit])
    advanced = cursor.advanced(
        read.asked,
        cursor.pass_of(read.asked, now=now, window=window),
        [state.id for state in items],
        full=len(read.states) > limit,
        window=window,
    )
    items.reverse()
    return KeysetPage(
        items=items,
        next=encode_before(items[-1].id) if items else None,
        previous=advanced.encode(),
    )


def _older(standing: Standing, than: UUID | None, limit: int) -> Read:
    room = standing.room_id
    if standing.kind is Kind.CHANNEL:
        return Read(states=_GROUP.older(room, than=than, limit=limit), asked=Asked.BOTH)

    def both() -> Read:
        waiting = _waiting(lambda: _POSTGRES.not_in_mongodb(room, below=than, limit=limit))
        found = _MONGO.older(room, than=than, limit=limit)
        return _read(found, waiting, limit, falling=True)

    return with_mongo_fallback(
        both,
        lambda: Read(states=_POSTGRES.older(room, than=than, limit=limit), asked=_behind()),
        "ROOM_MESSAGES_GET_DM",
    )


def _later(standing: Standing, start: Callable[[Asked], UUID], limit: int) -> Read:
    room = standing.room_id
    if standing.kind is Kind.CHANNEL:
        states = _GROUP.later(room, than=start(Asked.BOTH), limit=limit)
        return Read(states=states, asked=Asked.BOTH)

    def both() -> Read:
        than = start(Asked.BOTH)
        waiting = _waiting(lambda: _POSTGRES.not_in_mongodb(room, above=than, limit=limit))
        if waiting is None:
            than = start(Asked.MONGO)
        found = _MONGO.later(room, than=than, limit=limit)
        return _read(found, waiting, limit, falling=False)

    def behind() -> Read:
        asked = _behind()
        return Read(states=_POSTGRES.later(room, than=start(asked), limit=limit), asked=asked)

    return with_mongo_fallback(both, behind, "ROOM_MESSAGES_FOLLOW_DM")


def changes_since(
    standing: Standing, since: Callable[[Asked], dt.datetime], *, limit: int = MOST_CHANGES
) -> Read:
    """Return what was written, edited or deleted in a room since, by that time.

    :param since: given the stores that answer, returns from when on. Look back by `window_ms`.
    """
    room = standing.room_id
    if standing.kind is Kind.CHANNEL:
        states = _GROUP.changed(room, since=since(Asked.BOTH), limit=limit)
        return Read(states=states, asked=Asked.BOTH)

    def both() -> Read:
        waiting = _waiting(lambda: _POSTGRES.changed(room, since=since(Asked.BOTH), limit=limit))
        asked = Asked.MONGO if waiting is None else Asked.BOTH
        found = _MONGO.changed(room, since=since(asked), limit=limit)
        states = sorted(merged(found, waiting or ()), key=_by_change)[:limit]
        return Read(states=states, asked=asked)

    def behind() -> Read:
        asked = _behind()
        return Read(states=_POSTGRES.changed(room, since=since(asked), limit=limit), asked=asked)

    return with_mongo_fallback(both, behind, "ROOM_CHANGES_GET_DM")


def message_for(*, user_id: UUID, message_id: UUID) -> tuple[State, Standing]:
    """Return a message, and what somebody is in its room.

    :raises MessageNotFound: also for whoever does not belong to the room.
    """
    state, kind = _direct(message_id), Kind.CONVERSATION
    if state is None:
        state, kind = _GROUP.get(message_id), Kind.CHANNEL
    if state is not None:
        try:
            standing = standing_of(user_id=user_id, room_id=state.room_id)
        except PolystoreError as error:
            if error.status != 404:
                raise
        else:
            if standing.kind is kind:
                return state, standing
    raise MessageNotFound("There is no such message for you.")


def _direct(message_id: UUID) -> State | None:
    def both() -> State | None:
        known = from_postgres_or(lambda: _POSTGRES.get(message_id), lambda: None, "MESSAGE_GET_DM")
        found = _MONGO.get(message_id)
        return newer(found, known) if found and known else found or known

    return with_mongo_fallback(both, lambda: _POSTGRES.get(message_id), "MESSAGE_GET_DM")


def merged(first: Iterable[State], second: Iterable[State]) -> list[State]:
    """Return the states of both, of each message the newer one, in no order."""
    known = {state.id: state for state in first}
    for state in second:
        other = known.get(state.id)
        known[state.id] = state if other is None else newer(state, other)
    return list(known.values())


def _read(
    found: list[State], waiting: Sequence[State] | None, limit: int, *, falling: bool
) -> Read:
    if not waiting:
        states = found
    else:
        states = sorted(merged(found, waiting), key=lambda one: one.id, reverse=falling)[:limit]
    return Read(states=states, asked=Asked.MONGO if waiting is None else Asked.BOTH)


def _waiting(ask: Callable[[], list[State]]) -> list[State] | None:
    """Return what MongoDB lacks, or None while PostgreSQL does not say."""

    def asked() -> list[State] | None:
        return ask()

    return from_postgres_or(asked, lambda: None, "ROOM_MESSAGES_GET_DM")


def _behind() -> Asked:
    """Return what an answer of PostgreSQL shows: all there is, where there is no MongoDB."""
    return Asked.POSTGRES if mongo.configured() else Asked.BOTH


def _by_change(state: State) -> tuple[dt.datetime, UUID]:
    return state.updated_at, state.id
