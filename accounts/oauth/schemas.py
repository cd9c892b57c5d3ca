"""Personal tokens on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from common.schemas import AnswerSchema, WireSchema

DEFAULT_DAYS = 90


class TokenBody(WireSchema):
    """What a new token shall be."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    scopes: Annotated[list[str], Field(min_length=1, max_length=50)]
    days: Annotated[int, Field(ge=1, le=3_660)] = DEFAULT_DAYS
    """How long it is valid."""


class TokenAnswer(AnswerSchema):
    """A token without its value, which nobody can read again."""

    id: UUID
    name: str
    hint: str
    """How its value begins."""
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    """To the minute."""


class NewTokenAnswer(TokenAnswer):
    """A token that was just made."""

    value: str
    """Shown now and never again."""


class TokenList(AnswerSchema):
    """All of the caller's tokens: at most fifty live ones, and the lately expired."""

    items: list[TokenAnswer]
