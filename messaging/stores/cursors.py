"""Cursors of a room's messages. Opaque to clients.

`before` is a plain place: the messages older than it. `after` follows a room, and misses nothing:

- Ids of several processes commit out of order, by less than the window (a message that is later
  gets a fresh id). So a pass over what is new begins `window` before the pass before it began, and
  the client drops what it has already.
- A store that was away may hold messages that nobody could see. So the cursor keeps a place for
  each store, and the place of a store that was not asked stays where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Flag
from typing import Self
from uuid import UUID

from common.pagination import Cursor, CursorInvalid, decode_cursor, encode_cursor
from messaging.stores.states import floor_of


class Asked(Flag):
    """Which stores an answer shows all of."""

    MONGO = 1
    POSTGRES = 2
    BOTH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far one store was read."""

    last: UUID
    began: int = 0
    """Milliseconds at which the pass began that is under way; 0 between two."""

    def restart(self, window: int) -> UUID:
        """Return where a new pass begins."""
        return min(self.last, floor_of(self.began - window)) if self.began else self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """An `after` cursor."""

    mongo: Place
    postgres: Place

    @classmethod
    def from_the_beginning(cls) -> Self:
        """Return the cursor that has seen nothing."""
        place = Place(last=floor_of(0))
        return cls(mongo=place, postgres=place)

    @classmethod
    def of_now(
        cls, *, now: int, window: int, asked: Asked, since: UUID, upto: UUID | None = None
    ) -> Self:
        """Return the cursor of a client that saw a page of the stores in `asked`.

        :param now: milliseconds, from before the stores were asked.
        :param since: the oldest id on that page: of a store that was not asked, that far back
            nothing was seen.
        :param upto: the newest id on that page, if newer ones may be there.
        """
        here = Place(last=floor_of(now - window))
        if upto is not None:
            here = Place(last=min(upto, here.last))
        there = Place(last=min(since, here.last))
        return cls(
            mongo=here if Asked.MONGO in asked else there,
            postgres=here if Asked.POSTGRES in asked else there,
        )

    def pass_of(self, asked: Asked, *, now: int, window: int) -> Place:
        """Return from where to read the stores in `asked`: ids above `last`."""
        places = self._places(asked)
        if all(place == places[0] for place in places) and places[0].began:
            return places[0]
        return Place(last=min(place.restart(window) for place in places), began=now)

    def advanced(
        self, asked: Asked, current: Place, ids: Sequence[UUID], *, full: bool, window: int
    ) -> Self:
        """Return the cursor behind a page.

        :param current: what `pass_of` gave.
        :param ids: of the page, rising.
        :param full: there is more behind it.
        """
        if full:
            place = Place(last=ids[-1], began=current.began)
        else:
            place = Place(last=floor_of(current.began - window))
        changed = self
        if Asked.MONGO in asked:
            changed = replace(changed, mongo=place)
        if Asked.POSTGRES in asked:
            changed = replace(changed, postgres=place)
        return changed

    def encode(self) -> str:
        """Return the text that clients send back."""
        parts = (self.mongo.last, self.mongo.began, self.postgres.last, self.postgres.began)
        return encode_cursor(Cursor(key=parts))

    @classmethod
    def decode(cls, text: str) -> Self:
        """Return the cursor that `text` stands for. Raises CursorInvalid."""
        mongo, mongo_began, postgres, postgres_began = decode_cursor(text, length=4).key
        return cls(
            mongo=Place(last=_uuid(mongo), began=_time(mongo_began)),
            postgres=Place(last=_uuid(postgres), began=_time(postgres_began)),
        )

    def _places(self, asked: Asked) -> list[Place]:
        found = []
        if Asked.MONGO in asked:
            found.append(self.mongo)
        if Asked.POSTGRES in asked:
            found.append(self.postgres)
        return found


def encode_before(message_id: UUID) -> str:
    """Return the cursor of the messages older than this one."""
    return encode_cursor(Cursor(key=(message_id,), backwards=True))


def decode_before(text: str) -> UUID:
    """Return the id that a `before` cursor names. Raises CursorInvalid."""
    cursor = decode_cursor(text, length=1)
    if not cursor.backwards:
        raise CursorInvalid("The cursor belongs to another list.")
    return _uuid(cursor.key[0])


def _uuid(value: object) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise CursorInvalid("The cursor belongs to another list.") from None


def _time(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 48:
        raise CursorInvalid("The cursor belongs to another list.")
    return value
