"""Read copies in MongoDB in the order of their ids, compare and replace whole collections.

For verification and rebuilding. What writes single copies is `databases.stores.versioned`.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import CollectionInvalid, OperationFailure

from databases.stores import contents, mongo
from databases.stores.mongo import Document, Index
from databases.stores.versioned import DELETED_AT, DURABLE

SECONDS: Final = 30.0
"""Bounds one read of a range."""
DIGEST_BYTES: Final = contents.DIGEST_BYTES
_VERSION: Final = "_v"
_LIVE: Final = {"_live": True}
_LIVE_END: Final = b"\x08_live\x00\x01\x00"
_TEXT_ID: Final = b"\x02_id\x00"
_EXISTS: Final = 48


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy as MongoDB has it."""

    id: str
    live: bool
    tombstone: bool
    """Neither live nor a tombstone: a document that none of us wrote."""
    mark: bytes
    """Of its bytes, without the version."""


def mark(key: str, document: Mapping[str, Any]) -> tuple[bytes, int]:
    """Return the mark that the copy of `document` has when it is right, and how long it is.

    The same fields in another order have another mark: then compare the digests of `contents`.
    """
    raw = contents.as_stored(key, document, _LIVE)
    return (b"", 0) if raw is None else (_mark(raw), len(raw))


def marks(collection: str, *, after: str | None, upto: str | None, limit: int) -> Iterator[Copy]:
    """Yield the first `limit` copies and tombstones with text ids in (after, upto], by id.

    :raises AliasUnavailable: while MongoDB does not answer.
    """
    bounds: Document = {"$gte": ""} if after is None else {"$gt": after}
    if upto is not None:
        bounds["$lte"] = upto
    with mongo.database(timeout=SECONDS) as database:
        yield from _copies(database[collection], {"_id": bounds}, limit=limit)


def marks_of(collection: str, ids: Sequence[str]) -> Iterator[Copy]:
    """Yield the copies and tombstones of these ids, by id."""
    with mongo.database(timeout=SECONDS) as database:
        yield from _copies(database[collection], {"_id": {"$in": list(ids)}})


def documents_of(collection: str, ids: Iterable[str]) -> dict[str, Document]:
    """Return what is there under these ids, whole, tombstones too."""
    with mongo.database(timeout=SECONDS) as database:
        chosen = database[collection].with_options(codec_options=contents.CODEC)
        return {found["_id"]: found for found in chosen.find({"_id": {"$in": list(ids)}})}


def foreign_ids(collection: str, *, limit: int = 100) -> list[str]:
    """Return ids that are no text, as text: nobody of us wrote those documents."""
    with mongo.database(timeout=SECONDS * 10) as database:
        found = database[collection].find({"_id": {"$not": {"$type": "string"}}}, {"_id": 1})
        return [repr(document["_id"]) for document in found.limit(limit)]


def random_ids(collection: str, count: int) -> list[str]:
    """Return the ids of `count` live copies at random."""
    stages: list[Document] = [
        {"$sample": {"size": count}},
        {"$match": _LIVE},
        {"$project": {"_id": 1}},
    ]
    with mongo.database(timeout=SECONDS) as database:
        found = database[collection].aggregate(stages)
        return [document["_id"] for document in found if isinstance(document["_id"], str)]


def names() -> set[str]:
    """Return the collections that exist."""
    with mongo.database(timeout=SECONDS) as database:
        return set(database.list_collection_names())


def missing_indexes(collection: str, wanted: Sequence[Index]) -> list[Index]:
    """Return those of `wanted` that the collection lacks."""
    with mongo.database(timeout=SECONDS) as database:
        there = [
            (list(found["key"].items()), bool(found.get("unique", False)))
            for found in database[collection].list_indexes()
        ]
    return [index for index in wanted if (list(index.keys), index.unique) not in there]


def create(collection: str) -> None:
    """Make an empty collection; one that is there already stays as it is."""
    with mongo.database(timeout=SECONDS) as database:
        try:
            database.create_collection(collection, check_exists=False)
        except (CollectionInvalid, OperationFailure) as error:
            if getattr(error, "code", None) != _EXISTS:
                raise


def drop(collection: str) -> None:
    """Remove a collection, where there is one."""
    with mongo.database(timeout=SECONDS) as database:
        database.drop_collection(collection)


def bring_tombstones(live: str, new: str) -> None:
    """Copy the tombstones of `live` into `new`, durably, where it has nothing of their ids.

    :raises AliasUnavailable: while MongoDB does not answer; it may be repeated.
    """
    stages: list[Document] = [
        {"$match": {DELETED_AT: {"$exists": True}, "_live": {"$exists": False}}},
        {"$merge": {"into": new, "whenMatched": "keepExisting", "whenNotMatched": "insert"}},
    ]
    with mongo.database(timeout=mongo.LONGEST_BUILD) as database:
        chosen = database.get_collection(live, write_concern=DURABLE)
        chosen.aggregate(stages)


def put_in_place(new: str, live: str) -> None:
    """Have `new` take the place and the name of `live`, at once: readers see the one or the other.

    :raises AliasUnavailable: while MongoDB does not answer; it may have happened: see `identity`.
    """
    with mongo.database(timeout=SECONDS) as database:
        database[new].rename(live, dropTarget=True)


def identity(collection: str) -> str:
    """Return what the collection keeps when it is renamed, or "" where there is none."""
    with mongo.database(timeout=SECONDS) as database:
        for found in database.list_collections(filter={"name": collection}):
            return str(found["info"]["uuid"])
    return ""


def _copies(collection: Collection[Document], where: Document, *, limit: int = 0) -> Iterator[Copy]:
    raw_ones = collection.with_options(
        codec_options=contents.CODEC.with_options(document_class=RawBSONDocument)
    )
    found: Any = raw_ones.find(where, {_VERSION: 0}).sort("_id", 1)
    for document in found.limit(limit):
        raw: bytes = document.raw
        live = raw.endswith(_LIVE_END) or contents.from_stored(raw).get("_live") is True
        tombstone = not live and DELETED_AT in contents.from_stored(raw)
        yield Copy(_id(raw), live, tombstone, _mark(raw))


def _id(raw: bytes) -> str:
    """Return the id, which MongoDB keeps in front, without reading the rest."""
    if raw[4:9] != _TEXT_ID:
        return str(contents.from_stored(raw)["_id"])
    (length,) = struct.unpack_from("<i", raw, 9)
    return raw[13 : 12 + length].decode()


def _mark(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=DIGEST_BYTES).digest()
