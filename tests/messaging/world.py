"""What messaging's tests share: people, rooms, and a look into both stores."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from accounts.models import User
from databases.stores import mongo
from messaging.models import DirectMessage
from messaging.services import rooms
from messaging.services.freshness import confirm_membership
from outbox.delivery import drain_once
from tests.people import a_user
from tests.tracker.world import Caller, at_once

COLLECTIONS = ("direct_messages", "conversations", "messages", "users", "messaging_state")

__all__ = [
    "COLLECTIONS",
    "Caller",
    "at_once",
    "deliver",
    "forget_mongodb",
    "in_mongodb",
    "in_postgres",
    "made",
    "opened",
    "somebody",
    "texts",
]


def somebody(first: str) -> User:
    """Create a user of this name."""
    return a_user(f"{first.lower()}@example.com", first_name=first, last_name="Of Messaging")


def opened(*people: User, title: str = "") -> UUID:
    """Return a conversation that the first of them opened."""
    first, *others = people
    conversation_id, _ = rooms.open_conversation(
        user_id=first.pk, user_ids=[one.pk for one in others], title=title
    )
    return conversation_id


def made(answer: Any, status: int = 201) -> Any:
    """Return the JSON of an answer that has this status."""
    assert answer.status_code == status, (answer.status_code, answer.content)
    return answer.json() if answer.content else None


def texts(page: Any) -> list[str]:
    """Return what the messages of a page say, in its order."""
    return [message["content"] for message in page["items"]]


def deliver() -> None:
    """Bring everything that is recorded to MongoDB, and note that it is there."""
    drain_once()
    confirm_membership()


def forget_mongodb() -> None:
    """Empty the collections that these tests fill."""
    with mongo.database(timeout=10.0) as database:
        for name in COLLECTIONS:
            database[name].delete_many({})


def in_mongodb() -> dict[UUID, tuple[str, str]]:
    """Return what MongoDB has: id to (rank, content)."""
    with mongo.database(timeout=10.0) as database:
        found = database["direct_messages"].find({})
        return {_uuid(row["_id"]): (row["rank"], row["content"]) for row in found}


def in_postgres() -> dict[UUID, tuple[str, str]]:
    """Return what PostgreSQL has: id to (rank, content)."""
    rows = DirectMessage.objects.using("default").values_list("id", "rank", "content")
    return {key: (rank, content) for key, rank, content in rows}


def _uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else value.as_uuid()
