"""Documents that carry their own rank: the highest of one id stays, whoever writes it, and when.

For collections that several writers fill beside the outbox: direct messages. Writes return when a
majority has them on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bson.codec_options import CodecOptions
from pymongo import ReadPreference, ReturnDocument, UpdateOne, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.read_concern import ReadConcern

from databases.stores.mongo import Document
from databases.stores.versioned import DURABLE

RANK: Final = "rank"
_QUICK: Final = WriteConcern(1)
_SETTLED: Final = ReadConcern("majority")
_DUPLICATE: Final = 11_000
_CODEC: Final[CodecOptions[Document]] = CodecOptions(tz_aware=True, uuid_representation=4)


class IdTaken(Exception):
    """A document with this id, or another unique value of it, is there already."""


def durable(database: Database[Document], name: str) -> Collection[Document]:
    """Return the collection, whose writes are acknowledged when nothing can lose them, and in which
    nobody sees what could still be lost."""
    return database.get_collection(
        name,
        codec_options=_CODEC,
        read_preference=ReadPreference.PRIMARY,
        write_concern=DURABLE,
        read_concern=_SETTLED,
    )


def quick(database: Database[Document], name: str) -> Collection[Document]:
    """Return the collection for marks whose loss only repeats work."""
    return database.get_collection(name, codec_options=_CODEC, write_concern=_QUICK)


def insert(collection: Collection[Document], document: Document) -> None:
    """Insert a new document. Raises IdTaken where an id or a unique value is taken."""
    try:
        collection.insert_one(document)
    except DuplicateKeyError:
        raise IdTaken from None


def settled(collection: Collection[Document], where: Document) -> Document | None:
    """Return a document as soon as nothing can lose it, also one that somebody is just writing."""
    # A change of nothing: it sees the newest state, and waits for the majority as any write does.
    found = collection.find_one_and_update(where, [{"$replaceWith": "$$ROOT"}])
    return None if found is None else dict(found)


def put(collection: Collection[Document], document: Document) -> Document:
    """Write a document where it is newer than the one that is there; return what is there then.

    :raises IdTaken: where another unique value of it is taken.
    """
    for last_try in (False, True):
        try:
            found = collection.find_one_and_update(
                {"_id": document["_id"]},
                _replacement(document),
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            if last_try:  # the first time somebody may have inserted it at the same moment
                raise IdTaken from None
        else:
            return dict(found or document)
    raise AssertionError


def put_many(collection: Collection[Document], documents: Sequence[Document]) -> list[Any]:
    """Write documents that are as new as what is there, or newer: what is written beside the same
    rank goes. Return the ids whose other unique values are taken."""
    if not documents:
        return []
    try:
        collection.bulk_write([_operation(document) for document in documents], ordered=False)
    except BulkWriteError as error:
        details: dict[str, Any] = dict(error.details or {})
        problems = details.get("writeErrors", [])
        if details.get("writeConcernErrors") or any(
            problem["code"] != _DUPLICATE for problem in problems
        ):
            raise
        return _again(collection, [documents[problem["index"]] for problem in problems])
    return []


def unset(
    collection: Collection[Document], marked: Sequence[tuple[Any, str]], *fields: str
) -> None:
    """Take fields out of the documents that still have the rank named beside their id."""
    change = {"$unset": dict.fromkeys(fields, "")}
    if len(marked) == 1:
        key, rank = marked[0]
        collection.update_one({"_id": key, RANK: rank}, change)
    elif marked:
        collection.bulk_write(
            [UpdateOne({"_id": key, RANK: rank}, change) for key, rank in marked], ordered=False
        )


def _again(collection: Collection[Document], documents: Sequence[Document]) -> list[Any]:
    taken = []
    for document in documents:
        try:
            put(collection, document)
        except IdTaken:
            taken.append(document["_id"])
    return taken


def _operation(document: Document) -> UpdateOne:
    return UpdateOne({"_id": document["_id"]}, _replacement(document, than="$gte"), upsert=True)


def _replacement(document: Document, *, than: str = "$gt") -> list[dict[str, Any]]:
    is_newer = {than: [document[RANK], {"$ifNull": [f"${RANK}", ""]}]}
    return [{"$replaceWith": {"$cond": [is_newer, {"$literal": document}, "$$ROOT"]}}]
