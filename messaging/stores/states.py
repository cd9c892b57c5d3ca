"""A direct message as both stores keep it, and how messages get their ids."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from messaging.stores.versions import Version, now_ms, rank_of

MOST_WORDS: Final = 400
LONGEST_WORD: Final = 40
PARTS_BY: Final = "\x1f"
"""Between the parts of what is hashed: in none of them, for control characters are refused."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_WORD: Final = re.compile(r"\w+")
_ACCENTS: Final = re.compile("[\u0300-\u036f]")


Changed = tuple[datetime, UUID]
"""When a message was changed, and which: a place in the order of changes."""


class State(NamedTuple):
    """One state of a message. Times are whole milliseconds, as MongoDB keeps no more.

    A tuple: a page holds many, and stores build them for little more than the driver's own cost.
    """

    id: UUID
    room_id: UUID
    member_id: UUID
    author_id: UUID
    content: str
    file_url: str
    deleted: bool
    created_at: datetime
    updated_at: datetime
    rank: str
    """What states of one message compare by: the highest is the truth."""
    request: str = ""
    fingerprint: str = ""

    @property
    def version(self) -> Version:
        """Return when this state was written, and by whom."""
        return Version.from_rank(self.rank)

    def edited(self, *, content: str, file_url: str, version: Version) -> State:
        """Return the state that an edit makes."""
        return self._replace(
            content=content,
            file_url=file_url,
            rank=rank_of(deleted=self.deleted, version=version),
            updated_at=version.at,
        )

    def as_deleted(self, version: Version) -> State:
        """Return the state that a deletion makes: nothing is left of what was written."""
        return self._replace(
            content="",
            file_url="",
            deleted=True,
            rank=rank_of(deleted=True, version=version),
            updated_at=version.at,
        )


def print_of(state: State) -> str:
    """Return what two stores compare: the rank, and a hash of all that people see of a message.

    PostgreSQL makes the same by itself (`messaging.stores.postgres`). Keys are not in it: a message
    whose key another one has keeps none.
    """
    parts = (
        str(state.room_id),
        str(state.member_id),
        str(state.author_id),
        "t" if state.deleted else "f",
        str(milliseconds_of(state.created_at)),
        str(milliseconds_of(state.updated_at)),
        state.file_url,
        state.content,
    )
    # Not against anybody's malice: what PostgreSQL has built in, and quick.
    made = hashlib.md5(PARTS_BY.join(parts).encode(), usedforsecurity=False)
    return state.rank + made.hexdigest()


def milliseconds_of(moment: datetime) -> int:
    """Return milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def is_sound(state: State) -> bool:
    """Tell whether a state is marked as deleted where its rank says so."""
    return state.deleted == state.rank.startswith("1")


def newer(first: State, second: State) -> State:
    """Return the state that both stores keep."""
    return first if first.rank >= second.rank else second


def first_state(
    *,
    message_id: UUID,
    room_id: UUID,
    member_id: UUID,
    author_id: UUID,
    content: str,
    file_url: str,
    request: str = "",
    fingerprint: str = "",
) -> State:
    """Return a message as it is created. Its times are those in its id."""
    version = Version.of_creation(message_id)
    return State(
        id=message_id,
        room_id=room_id,
        member_id=member_id,
        author_id=author_id,
        content=content,
        file_url=file_url,
        deleted=False,
        created_at=version.at,
        updated_at=version.at,
        rank=rank_of(deleted=False, version=version),
        request=request,
        fingerprint=fingerprint,
    )


# Ids --------------------------------------------------------------------------------------------


def time_of(message_id: UUID) -> int:
    """Return the milliseconds in a UUIDv7."""
    return message_id.int >> 80


def floor_of(milliseconds: int) -> UUID:
    """Return the lowest id of that millisecond."""
    return UUID(int=max(milliseconds, 0) << 80)


def created_in(message_id: UUID) -> datetime:
    """Return the time in a UUIDv7."""
    return datetime.fromtimestamp(time_of(message_id) / 1000, UTC)


def derived_id(*, request: str, fingerprint: str, key: str, window_ms: int) -> UUID | None:
    """Return the id that follows from a key, where the key is a UUIDv7 of the last moments.

    It follows from the author and the message, too: a retry makes the same id, in whichever store
    it arrives, and another message never has it. Any other key gets an id of its own, and the
    stores remember the key.

    :param request: hash of author and key, or "" without a key.
    :param fingerprint: of the message.
    :param window_ms: how old a key may be to give the id its time.
    """
    stamp = _stamp(key)
    now = now_ms()
    if not request or stamp is None or not now - window_ms <= stamp >> 12 <= now:
        return None
    rest = (
        int(hashlib.sha256(f"{request}:{fingerprint}:id".encode()).hexdigest()[:16], 16)
        & (1 << 62) - 1
    )
    milliseconds, fraction = stamp >> 12, stamp & 0xFFF
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | rest)


def _stamp(key: str) -> int | None:
    """Return the 60 bits of time in a key that is a UUIDv7."""
    try:
        found = UUID(key)
    except ValueError:
        return None
    if found.version != 7:
        return None
    return (found.int >> 80) << 12 | found.int >> 64 & 0xFFF


def request_of(*, author_id: UUID, key: str | None) -> str:
    """Return what stands for an author's key, or "" without one."""
    return _hash(f"{author_id}:{key}") if key else ""


def fingerprint_of(*, room_id: UUID, content: str, file_url: str) -> str:
    """Return what tells whether the same key came with the same message."""
    return _hash(f"{room_id}\n{file_url}\n{content}")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


# Words ------------------------------------------------------------------------------------------


def words_of(text: str) -> list[str]:
    """Return what a search finds a message by: its words, small, without accents, each once.

    Both stores keep these, so that both find the same.
    """
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).lower()
    found = dict.fromkeys(word[:LONGEST_WORD] for word in _WORD.findall(plain))
    return list(found)[:MOST_WORDS]
