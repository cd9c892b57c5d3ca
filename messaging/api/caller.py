"""Who calls, and how much they may."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from django.conf import settings
from ninja import Header
from pydantic import StringConstraints

from common.errors import PolystoreError
from databases.stores.limits import wait_for
from messaging.services.messages import LONGEST_KEY

IdempotencyKey = Annotated[
    Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_KEY)] | None,
    Header(
        alias="Idempotency-Key",
        description="The same key with the same message again makes no second one. Best is a "
        "UUIDv7, made when the message is first sent.",
    ),
]
REPLAYED = "Idempotency-Replayed"
MINUTE = 60


class TooManyMessages(PolystoreError):
    """The caller sends or searches more than is allowed."""

    code, status, title = "messaging.too_many", 429, "Too many requests"
    remedy = "Wait for the time in Retry-After."


def limited_post(user_id: UUID) -> None:
    """Count a message that is written, edited or deleted. Raises TooManyMessages."""
    _limit("post", user_id, settings.MESSAGING_POSTS_PER_MINUTE)


def limited_search(user_id: UUID) -> None:
    """Count a search. Raises TooManyMessages."""
    _limit("search", user_id, settings.MESSAGING_SEARCHES_PER_MINUTE)


def _limit(what: str, user_id: UUID, most: int) -> None:
    seconds = wait_for(f"messaging.{what}:{user_id}", limit=most, seconds=MINUTE)
    if seconds:
        refused = TooManyMessages(f"At most {most} a minute are allowed.")
        refused.retry_after = seconds
        raise refused
