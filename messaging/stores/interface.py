"""What both stores of direct messages can do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from messaging.stores.states import State


class MessageStore(Protocol):
    """MongoDB or PostgreSQL: the same questions, the same answers.

    Every call may raise the store's own errors; `messaging.stores.doors` says which of them mean
    that it is away.
    """

    name: str

    def older(self, room_id: UUID, *, than: UUID | None, limit: int) -> list[State]:
        """Return the newest messages of a room, or those older than an id, the newest first."""

    def later(self, room_id: UUID, *, than: UUID, limit: int) -> list[State]:
        """Return the messages of a room with higher ids, rising."""

    def changed(self, room_id: UUID, *, since: datetime, limit: int) -> list[State]:
        """Return the messages of a room that were written or changed since, by that time."""

    def get(self, message_id: UUID) -> State | None:
        """Return a message, deleted or not, or None where there is none."""

    def of_request(self, request: str) -> State | None:
        """Return the message that an author's key made, or None."""

    def create(self, state: State) -> State:
        """Keep a new message and return it; return the one that its id or its key made before."""

    def put(self, states: Sequence[State]) -> None:
        """Keep these states where they are newer than what is there."""

    def search(
        self, rooms: Collection[UUID], words: Sequence[str], *, below: UUID | None, limit: int
    ) -> list[State]:
        """Return messages of these rooms with words that begin so, the newest first."""

    def backlog(self, *, most: int) -> int:
        """Count the messages that the other store lacks, up to `most`."""
