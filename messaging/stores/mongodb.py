"""Direct messages in MongoDB.

A document is `{_id, conversation_id, member_id, author_id, content, file_url, deleted, created_at,
updated_at, rank, words}`, with `request` and `fingerprint` where a key came with it. `pending`
stands in it until PostgreSQL has acknowledged its copy.

What is read is what a majority has: it stays, also when MongoDB ends right after. And before a
marked document is shown, whoever shows it may have PostgreSQL take the copy (`before_showing`): so
what was once shown is still there when PostgreSQL has to serve.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from databases.stores import mongo, newest
from databases.stores.mongo import Document, Index
from messaging.stores.states import Changed, State, print_of, words_of

COLLECTION: Final = "direct_messages"
PENDING: Final = {"pending": True}
INDEXES: Final = (
    Index(collection=COLLECTION, keys=[("conversation_id", 1), ("_id", -1)]),
    Index(collection=COLLECTION, keys=[("conversation_id", 1), ("updated_at", 1)]),
    Index(collection=COLLECTION, keys=[("updated_at", 1), ("_id", 1)]),
    Index(collection=COLLECTION, keys=[("conversation_id", 1), ("words", 1)]),
    Index(collection=COLLECTION, keys=[("request", 1)], unique=True, sparse=True),
    Index(collection=COLLECTION, keys=[("pending", 1), ("_id", 1)], partial=PENDING),
)
SWEEP_SECONDS: Final = 5.0
"""Bounds one call that no request waits for."""


class MongoMessages:
    """The store that serves."""

    name = mongo.STORE

    def __init__(
        self,
        *,
        timeout: float | None = None,
        before_showing: Callable[[list[State]], None] = lambda _marked: None,
    ) -> None:
        """Bound each call by `timeout` seconds; MONGO_TIMEOUT_MS by default.

        :param before_showing: is given the marked ones of what was found, before it is returned.
        """
        self._timeout = timeout
        self._before_showing = before_showing

    def older(self, room_id: UUID, *, than: UUID | None, limit: int) -> list[State]:
        """Return the newest messages of a room, or those older than an id, the newest first."""
        where: Document = {"conversation_id": room_id}
        if than is not None:
            where["_id"] = {"$lt": than}
        return self._find(where, [("_id", -1)], limit)

    def later(self, room_id: UUID, *, than: UUID, limit: int) -> list[State]:
        """Return the messages of a room with higher ids, rising."""
        where = {"conversation_id": room_id, "_id": {"$gt": than}}
        return self._find(where, [("_id", 1)], limit)

    def changed(self, room_id: UUID, *, since: datetime, limit: int) -> list[State]:
        """Return the messages of a room that were written or changed since, by that time."""
        where = {"conversation_id": room_id, "updated_at": {"$gte": since}}
        return self._find(where, [("updated_at", 1)], limit)

    def get(self, message_id: UUID) -> State | None:
        """Return a message, deleted or not, or None where there is none."""
        return next(iter(self._find({"_id": message_id}, [("_id", 1)], 1)), None)

    def of_request(self, request: str) -> State | None:
        """Return the message that an author's key made, or None."""
        return next(iter(self._find({"request": request}, [("_id", 1)], 1)), None)

    def create(self, state: State) -> State:
        """Keep a new message, marked until PostgreSQL has it; return it.

        Where its id or its key made one before, that one is returned instead.
        """
        with mongo.database(timeout=self._timeout) as database:
            collection = newest.durable(database, COLLECTION)
            try:
                newest.insert(collection, document_of(state, pending=True))
            except newest.IdTaken:
                taken: list[Document] = [{"_id": state.id}]
                if state.request:
                    taken.append({"request": state.request})
                found = newest.settled(collection, {"$or": taken})
                if found is not None:
                    return _state(found)
                raise
        return state

    def change(self, state: State) -> State:
        """Keep this state if it is newer, marked until PostgreSQL has it; return what is kept."""
        with mongo.database(timeout=self._timeout) as database:
            collection = newest.durable(database, COLLECTION)
            try:
                return _state(newest.put(collection, document_of(state, pending=True)))
            except newest.IdTaken:  # its key made another message, which keeps it
                keyless = state._replace(request="", fingerprint="")
                return _state(newest.put(collection, document_of(keyless, pending=True)))

    def put(self, states: Sequence[State]) -> None:
        """Keep these states, which PostgreSQL has, where they are newer than what is there."""
        self.put_copies(states)

    def put_copies(self, states: Sequence[State]) -> list[UUID]:
        """Keep these states, which PostgreSQL has; return the ids whose key another message has.

        The mark goes, too, from a document that is there in the very same state: its writer gave up
        waiting and turned to PostgreSQL, and MongoDB took it all the same.
        """
        with mongo.database(timeout=self._timeout) as database:
            documents = [document_of(state, pending=False) for state in states]
            return newest.put_many(newest.durable(database, COLLECTION), documents)

    def copied(self, states: Iterable[State]) -> None:
        """Take the mark away: PostgreSQL has these states, or newer ones."""
        with mongo.database(timeout=self._timeout) as database:
            collection = newest.quick(database, COLLECTION)
            newest.unset(collection, [(state.id, state.rank) for state in states], "pending")

    def not_copied(self, *, above: UUID | None = None, limit: int) -> list[State]:
        """Return the next marked messages by id: PostgreSQL may lack them."""
        where: Document = dict(PENDING)
        if above is not None:
            where["_id"] = {"$gt": above}
        return self._find(where, [("_id", 1)], limit)

    def search(
        self, rooms: Collection[UUID], words: Sequence[str], *, below: UUID | None, limit: int
    ) -> list[State]:
        """Return messages of these rooms with words that begin so, the newest first."""
        return self._find(searched("conversation_id", rooms, words, below), [("_id", -1)], limit)

    def backlog(self, *, most: int) -> int:
        """Count the messages that PostgreSQL lacks, up to `most`."""
        with mongo.database(timeout=self._timeout) as database:
            return database[COLLECTION].count_documents(PENDING, limit=most)

    def prints(
        self, *, after: UUID | None, limit: int, room_id: UUID | None = None
    ) -> list[tuple[UUID, str]]:
        """Return (id, print) of the next messages by id: see `messaging.stores.states.print_of`."""
        where: Document = {} if after is None else {"_id": {"$gt": after}}
        if room_id is not None:
            where["conversation_id"] = room_id
        with mongo.database(timeout=self._timeout) as database:
            found = newest.durable(database, COLLECTION).find(where, _SHOWN, sort=[("_id", 1)])
            return [(row["_id"], print_of(_state(row))) for row in found.limit(limit)]

    def changed_ids(
        self, *, since: Changed, below: UUID, limit: int, room_id: UUID | None = None
    ) -> list[Changed]:
        """Return when, and which, of the messages below an id that were changed after `since`."""
        at, last = since
        where: Document = {
            "updated_at": {"$gte": at},
            "_id": {"$lt": below},
            "$or": [{"updated_at": {"$gt": at}}, {"_id": {"$gt": last}}],
        }
        if room_id is not None:
            where["conversation_id"] = room_id
        order = [("updated_at", 1), ("_id", 1)]
        with mongo.database(timeout=self._timeout) as database:
            found = newest.durable(database, COLLECTION).find(where, {"updated_at": 1}, sort=order)
            return [(row["updated_at"], row["_id"]) for row in found.limit(limit)]

    def states_of(self, ids: Sequence[UUID]) -> dict[UUID, State]:
        """Return these messages by id; unknown ones are missing."""
        found = self._find({"_id": {"$in": list(ids)}}, [("_id", 1)], len(ids))
        return {state.id: state for state in found}

    def _find(self, where: Document, order: list[tuple[str, int]], limit: int) -> list[State]:
        with mongo.database(timeout=self._timeout) as database:
            found = newest.durable(database, COLLECTION).find(
                where, _SHOWN, sort=order, limit=limit, batch_size=limit + 1
            )
            rows = list(found)
        marked = [_state(row) for row in rows if "pending" in row]
        if marked:
            self._before_showing(marked)
        return [_state(row) for row in rows]


_SHOWN: Final = {"words": 0}


def searched(
    room_field: str, rooms: Collection[Any], words: Sequence[str], below: Any | None
) -> Document:
    """Return the condition of a search by beginnings of words."""
    conditions = [{"words": {"$regex": f"^{re.escape(word)}"}} for word in words]
    where: Document = {room_field: {"$in": list(rooms)}, "$and": conditions}
    if below is not None:
        where["_id"] = {"$lt": below}
    return where


def document_of(state: State, *, pending: bool) -> Document:
    """Return the document that shows a state."""
    document: Document = {
        "_id": state.id,
        "conversation_id": state.room_id,
        "member_id": state.member_id,
        "author_id": state.author_id,
        "content": state.content,
        "file_url": state.file_url,
        "deleted": state.deleted,
        "created_at": state.created_at,
        "updated_at": state.updated_at,
        "rank": state.rank,
        "words": words_of(state.content),
    }
    if state.request:
        document["request"] = state.request
        document["fingerprint"] = state.fingerprint
    if pending:
        document["pending"] = True
    return document


def _state(row: Document) -> State:
    return State(
        row["_id"],
        row["conversation_id"],
        row["member_id"],
        row["author_id"],
        row["content"],
        row["file_url"],
        row["deleted"],
        row["created_at"],
        row["updated_at"],
        row["rank"],
        row.get("request", ""),
        row.get("fingerprint", ""),
    )
