"""Bases of what goes over the wire: snake_case in Python, camelCase in JSON."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Final, Generic, TypeVar

from ninja import Schema
from pydantic import AliasGenerator, BeforeValidator, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

Item = TypeVar("Item")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _written_out(given: Any) -> Any:
    """Refuse numbers, which would be taken for seconds since 1970."""
    if isinstance(given, dt.date) or (isinstance(given, str) and _DAY.fullmatch(given)):
        return given
    raise ValueError("Write a day as YYYY-MM-DD.")


Day = Annotated[dt.date, BeforeValidator(_written_out)]
"""A day in a request."""


class WireSchema(Schema):
    """Base of request bodies and query parameters: camelCase in (snake_case is taken too) and out.

    Answers that are built from models or dataclasses derive from `AnswerSchema`, which does not
    look for camelCase attributes on every object first.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _only_objects(cls, given: Any) -> Any:
        """Refuse JSON that is no object: ninja would read the attributes of Python's own types."""
        if not isinstance(getattr(given, "_obj", given), dict):
            raise ValueError("Input should be an object.")  # noqa: TRY004 - pydantic lists these alone
        return given


class AnswerSchema(Schema):
    """Base of answers: read from attributes or keys in snake_case, written in camelCase."""

    model_config = ConfigDict(
        alias_generator=AliasGenerator(serialization_alias=to_camel),
        serialize_by_alias=True,
    )


class Page(AnswerSchema, Generic[Item]):
    """One page of a list, paged by key: `Page[MessageAnswer]`."""

    items: list[Item]
    next: str | None
    """Cursor of the page behind this one; null at the end."""
    previous: str | None
    """Cursor of the page before this one; null at the beginning."""


class FieldFault(AnswerSchema):
    """One thing that is wrong with a request."""

    location: list[str]
    """Where: `["query", "lat"]`, `["body", "address"]`."""
    message: str
    code: str


class Problem(AnswerSchema):
    """What every error looks like (RFC 9457, application/problem+json)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    """Stable, for programs."""
    remedy: str
    """What to do next."""
    request_id: str
    errors: list[FieldFault] | None = None


def problem_openapi() -> dict[str, Any]:
    """Return the OpenAPI response object that every operation shares for its errors."""
    return {
        "description": "Any error: what happened, a stable code, and what to do next.",
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
