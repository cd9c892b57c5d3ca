"""Lists page by key, never by offset: a page costs the same however deep it lies.

A cursor is opaque to clients: the direction and the sort key of the row at the edge of the page.
It holds nothing that the client has not seen, and is checked against the fields when it returns.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model, Q, QuerySet

from common.errors import PolystoreError

M = TypeVar("M", bound=Model)
T = TypeVar("T")

LONGEST_CURSOR: Final = 2_000
"""Room for the longest name that a list may be sorted by, in any writing."""
MOST_ITEMS: Final = 200
USUAL_ITEMS: Final = 50


class CursorInvalid(PolystoreError):
    """The cursor was not made by this list."""

    code, status, title = "pagination.cursor_invalid", 422, "Invalid cursor"
    remedy = "Start again without a cursor, or send `next` or `previous` of an answer unchanged."


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a page begins: behind (or, going back, before) the row with this key."""

    key: tuple[Any, ...]
    backwards: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysetPage(Generic[T]):
    """One page; `common.schemas.Page` puts it on the wire."""

    items: list[T]
    next: str | None
    previous: str | None


def encode_cursor(cursor: Cursor) -> str:
    """Return the text that stands for `cursor`. Keys may hold JSON's values, dates and UUIDs."""
    text = json.dumps(
        ["<" if cursor.backwards else ">", *cursor.key],
        cls=DjangoMicrosecondEncoder,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def decode_cursor(text: str, *, length: int) -> Cursor:
    """Return the cursor that `text` stands for, its key still as JSON's plain values.

    :param length: how many values the key must have.
    :raises CursorInvalid: 422.
    """
    if len(text) > LONGEST_CURSOR:
        raise CursorInvalid("The cursor is too long.")
    try:
        parts = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_"))
    except (ValueError, binascii.Error, RecursionError):
        raise CursorInvalid("The cursor cannot be read.") from None
    if not isinstance(parts, list) or len(parts) != length + 1 or parts[0] not in {"<", ">"}:
        raise CursorInvalid("The cursor belongs to another list.")
    if any(not isinstance(part, str | int | float) for part in parts):
        raise CursorInvalid("The cursor belongs to another list.")
    return Cursor(key=tuple(parts[1:]), backwards=parts[0] == "<")


def page_of(
    rows: QuerySet[M],
    *,
    cursor: str | None = None,
    limit: int = USUAL_ITEMS,
    by: Sequence[str] = ("created_at", "id"),
    newest_first: bool = True,
) -> KeysetPage[M]:
    """Return one page of `rows`, in one query.

    :param cursor: `next` or `previous` of an earlier page, or None for the first.
    :param limit: items on the page, cut to 1 … 200.
    :param by: fields that sort the list; together unique, none of them null. Give them an index.
    :raises CursorInvalid: 422.
    """
    limit = min(max(limit, 1), MOST_ITEMS)
    start = _with_types(rows, decode_cursor(cursor, length=len(by)), by) if cursor else None
    backwards = start is not None and start.backwards
    falling = newest_first is not backwards
    if start is not None:
        rows = rows.filter(_beyond(by, start.key, falling=falling))
    found = list(rows.order_by(*(f"-{name}" if falling else name for name in by))[: limit + 1])
    more = len(found) > limit
    items = found[:limit]
    if backwards:
        items.reverse()
    if not items:
        return _nothing_beyond(start)
    goes_on = backwards or more
    goes_back = more if backwards else start is not None
    return KeysetPage(
        items=items,
        next=encode_cursor(Cursor(key=_key(items[-1], by))) if goes_on else None,
        previous=encode_cursor(Cursor(key=_key(items[0], by), backwards=True))
        if goes_back
        else None,
    )


def _nothing_beyond(start: Cursor | None) -> KeysetPage[Any]:
    """Return a page of rows that are gone by now; whoever came leaves it the other way."""
    if start is None:
        return KeysetPage(items=[], next=None, previous=None)
    away = encode_cursor(Cursor(key=start.key, backwards=not start.backwards))
    return KeysetPage(
        items=[],
        next=away if start.backwards else None,
        previous=None if start.backwards else away,
    )


class DjangoMicrosecondEncoder(DjangoJSONEncoder):
    """Django's encoder cuts times to milliseconds, which would skip rows between two pages."""

    def default(self, o: Any) -> Any:
        """Return times in full, everything else as Django does."""
        return o.isoformat() if hasattr(o, "isoformat") else super().default(o)


def _key(row: Model, by: Sequence[str]) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in by)


def _with_types(rows: QuerySet[M], cursor: Cursor, by: Sequence[str]) -> Cursor:
    """Return the cursor with each value as its field's own type."""
    fields = [rows.model._meta.get_field(name) for name in by]
    try:
        key = tuple(
            field.to_python(value)  # type: ignore[union-attr]  # sort keys are concrete fields
            for field, value in zip(fields, cursor.key, strict=True)
        )
    except (ValidationError, ValueError, TypeError, OverflowError):
        raise CursorInvalid("The cursor belongs to another list.") from None
    return Cursor(key=key, backwards=cursor.backwards)


def _beyond(by: Sequence[str], key: Sequence[Any], *, falling: bool) -> Q:
    """Return the rows behind `key`: (a, b) < (x, y), written so that an index on a, b serves it."""
    side = "lt" if falling else "gt"
    *earlier, last = range(len(by))
    beyond = Q(**{f"{by[last]}__{side}": key[last]})
    for place in reversed(earlier):
        strictly = Q(**{f"{by[place]}__{side}": key[place]})
        beyond = Q(**{f"{by[place]}__{side}e": key[place]}) & (strictly | beyond)
    return beyond
