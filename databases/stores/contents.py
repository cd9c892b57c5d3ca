"""What a copy says, in a form that is the same whichever store it was read from.

PostgreSQL gives microseconds and `Decimal`; MongoDB keeps milliseconds and `Decimal128`, and any
order of fields. `digest` sees through that, so that two documents have the same digest exactly
when MongoDB would give back the same for both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import bson
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import CodecOptions
from bson.decimal128 import Decimal128
from bson.errors import BSONError

from databases.stores.mongo import Document

DIGEST_BYTES: Final = 16
CODEC: Final[CodecOptions[Document]] = CodecOptions(
    document_class=dict, tz_aware=True, uuid_representation=UuidRepresentation.STANDARD
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def digest(fields: Mapping[str, Any]) -> bytes:
    """Return the digest of a document's fields, without those that begin with an underscore."""
    own = {name: value for name, value in fields.items() if not name.startswith("_")}
    return hashlib.blake2b(canonical(own).encode(), digest_size=DIGEST_BYTES).digest()


def differing_fields(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the fields that differ, or that one of the two lacks, in order."""
    names = {name for name in (*one, *other) if not name.startswith("_")}
    return tuple(
        name
        for name in sorted(names)
        if (name in one) is not (name in other)
        or canonical(one.get(name)) != canonical(other.get(name))
    )


def canonical(value: Any) -> str:
    """Return one text per value that MongoDB can tell from others; each begins with its kind."""
    for kinds, form in _FORMS:
        if isinstance(value, kinds):
            return form(value)
    return f"?{type(value).__name__}:{value!r}"


def as_stored(key: str, document: Mapping[str, Any], last: Mapping[str, Any]) -> bytes | None:
    """Return the bytes in which MongoDB keeps the document, or None where it cannot.

    :param last: fields behind the document's own.
    """
    try:
        return bson.encode({"_id": key, **document, **last}, codec_options=CODEC)
    except (BSONError, OverflowError, TypeError, ValueError):
        return None


def from_stored(raw: bytes) -> Document:
    """Return the document of these bytes."""
    return bson.decode(raw, codec_options=CODEC)


def _of_number(value: Any) -> str:
    return f"f:{float(value)!r}" if isinstance(value, float) else f"i:{int(value)}"


def _of_datetime(value: datetime) -> str:
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return f"t:{(aware - _EPOCH) // _MILLISECOND}"


def _of_decimal(value: Decimal | Decimal128) -> str:
    exact = value.to_decimal() if isinstance(value, Decimal128) else value
    if not exact.is_finite():
        return f"d:{exact}"
    return "d:0" if not exact else f"d:{exact.normalize():f}"


def _of_bytes(value: bytes) -> str:
    if isinstance(value, Binary) and value.subtype in {3, 4}:
        return _of_uuid(value.as_uuid(value.subtype))
    return f"b:{bytes(value).hex()}"


def _of_uuid(value: UUID) -> str:
    return f"u:{value.hex}"


def _of_text(value: str) -> str:
    return f"s{len(value)}:{value}"


def _of_items(value: Iterable[Any]) -> str:
    return f"[{','.join(map(canonical, value))}]"


def _of_fields(value: Mapping[str, Any]) -> str:
    inside = ",".join(f"{_of_text(str(name))}={canonical(value[name])}" for name in sorted(value))
    return f"{{{inside}}}"


# bool before int, datetime alone (MongoDB keeps no dates), Binary is a kind of bytes.
_FORMS: Final[tuple[tuple[Any, Callable[[Any], str]], ...]] = (
    (str, _of_text),
    (type(None), lambda _value: "n"),
    (bool, lambda value: f"o:{int(value)}"),
    ((int, float), _of_number),
    (datetime, _of_datetime),
    (UUID, _of_uuid),
    (Mapping, _of_fields),
    ((list, tuple), _of_items),
    ((Decimal, Decimal128), _of_decimal),
    (bytes, _of_bytes),
)
