"""Sessions on the wire."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from common.schemas import AnswerSchema


class SessionAnswer(AnswerSchema):
    """One of the caller's sessions."""

    id: UUID
    device: str
    """Browser and system as the browser says, e.g. "Firefox on Linux"; may be empty."""
    network: str
    """Where it was signed in from, as a network; may be empty."""
    created_at: datetime
    last_seen_at: datetime
    """Up to a minute old."""
    expires_at: datetime
    current: bool
    """Whether it is the one that asks."""


class EndedAnswer(AnswerSchema):
    """How many sessions ended."""

    ended: int
