"""Copies of rows in MongoDB, each with the version that it shows: a newer one wins, always.

A copy is `{_id, …fields, _v: version, _live: true}`; a deleted one leaves a tombstone,
`{_id, _v, _deleted_at}`, so that what comes late cannot bring it back. Tombstones end by
themselves after OUTBOX_RETENTION_DAYS. Queries and indexes name `_live: true`, and so never meet
one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from bson.errors import BSONError
from django.conf import settings
from pymongo import UpdateOne, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    OperationFailure,
    PyMongoError,
)

from databases.breaker import AliasUnavailable
from databases.stores import mongo
from databases.stores.mongo import Document, Index

VERSION: Final = "_v"
LIVE: Final = "_live"
DELETED_AT: Final = "_deleted_at"
ONLY_LIVE: Final = {LIVE: True}
SECONDS: Final = 5.0
"""Bounds one call, whatever it writes."""
DURABLE: Final = WriteConcern("majority", j=True)
"""On disk on a majority of the replica set."""
_DUPLICATE: Final = 11_000
_UNENCODABLE: Final = (BSONError, DocumentTooLarge, OverflowError, TypeError, ValueError)
_OF_THE_SERVER: Final = frozenset({
    6, 7, 13, 18, 50, 64, 89, 91, 112, 133, 134, 175, 189, 202, 211, 262, 290, 317, 365, 9001,
    10058, 10107, 11600, 11602, 13297, 13435, 13436, 14031, 46841,
})  # fmt: skip
"""Codes of what is wrong with the server, not with a document: unreachable, no primary, stopping,
not allowed, out of time, out of disk space, write conflicts, a collection just switched."""


class Write(NamedTuple):
    """One copy to bring up to date."""

    id: str
    version: int
    document: Document | None
    """None: the row is gone."""


def write(collection: str, writes: Sequence[Write], *, at: datetime) -> dict[str, str]:
    """Write every copy whose version is newer than the one that is there.

    What is returned as written is on disk on a majority of the replica set. To write the same
    again, or something older, changes nothing.

    :param writes: at most one per id.
    :param at: now; tombstones are kept from then on.
    :returns: ids that MongoDB does not take, with the kind of refusal (never the values).
    :raises AliasUnavailable: while MongoDB does not answer; any part may have been written.
    """
    if not writes:
        return {}
    with mongo.database(timeout=SECONDS) as database:
        chosen = database.get_collection(collection, write_concern=DURABLE)
        try:
            return dict(_refused(chosen, writes, at, again=True))
        except PyMongoError as error:
            if _is_outage(error):
                mongo.breaker().failed(type(error).__name__)
                raise AliasUnavailable(mongo.STORE) from error
            raise


def highest_version(collection: str) -> int:
    """Return the highest version that any copy or tombstone has, or 0. Reads the whole collection.

    :raises AliasUnavailable: while MongoDB does not answer.
    """
    with mongo.database(timeout=60.0) as database:
        found = database[collection].find_one({}, {VERSION: 1}, sort=[(VERSION, -1)])
    return int((found or {}).get(VERSION, 0))


def tombstone_index(collection: str) -> Index:
    """Return the index by which tombstones end."""
    return Index(
        collection=collection,
        keys=[(DELETED_AT, 1)],
        expire_after=settings.OUTBOX_RETENTION_DAYS * 86_400,
    )


def _refused(
    collection: Collection[Document], writes: Sequence[Write], at: datetime, *, again: bool
) -> Iterator[tuple[str, str]]:
    """Write, and yield what was refused."""
    try:
        collection.bulk_write([_operation(entry, at) for entry in writes], ordered=False)
    except BulkWriteError as error:
        yield from _single_errors(collection, writes, at, error, again=again)
    except (OperationFailure, *_UNENCODABLE) as error:
        if isinstance(error, PyMongoError) and _is_outage(error):
            raise
        # The driver or the server took none, because of one of them: find out which.
        if len(writes) == 1:
            yield writes[0].id, _kind(error)
            return
        middle = len(writes) // 2
        yield from _refused(collection, writes[:middle], at, again=again)
        yield from _refused(collection, writes[middle:], at, again=again)


def _single_errors(
    collection: Collection[Document],
    writes: Sequence[Write],
    at: datetime,
    error: BulkWriteError,
    *,
    again: bool,
) -> Iterator[tuple[str, str]]:
    details: Mapping[str, Any] = error.details or {}
    problems = details.get("writeErrors", [])
    if details.get("writeConcernErrors") or _any_of_the_server(problems):
        raise error
    twice = []
    for problem in problems:
        entry = writes[problem["index"]]
        if again and problem["code"] == _DUPLICATE:
            twice.append(entry)  # somebody inserted it at the same moment: now it is an update
        else:
            yield entry.id, f"WriteError {problem['code']}"
    if twice:
        yield from _refused(collection, twice, at, again=False)


def _operation(entry: Write, at: datetime) -> UpdateOne:
    key, version, document = entry
    if document is None:
        new = {"_id": key, VERSION: version, DELETED_AT: at}
    else:
        new = {"_id": key, **document, VERSION: version, LIVE: True}
    newer = {"$gt": [version, {"$ifNull": ["$_v", -1]}]}
    return UpdateOne(
        {"_id": key},
        [{"$replaceWith": {"$cond": [newer, {"$literal": new}, "$$ROOT"]}}],
        upsert=True,
    )


def _any_of_the_server(problems: Sequence[dict[str, Any]]) -> bool:
    return any(problem.get("code") in _OF_THE_SERVER for problem in problems)


def _is_outage(error: PyMongoError) -> bool:
    if isinstance(error, BulkWriteError):
        return True  # those of single documents were told apart before
    if isinstance(error, OperationFailure):
        return error.code in _OF_THE_SERVER or error.timeout
    return isinstance(error, ConnectionFailure) or error.timeout


def _kind(error: Exception) -> str:
    code = getattr(error, "code", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__
