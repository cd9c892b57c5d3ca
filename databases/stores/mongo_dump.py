"""Dump MongoDB's collections into BSON files, and load such files into collections.

`mongodump` is no part of the site's requirements, so this is done through the driver: documents
pass as the server's own bytes, undecoded. All collections are read at one moment (a session with
snapshot read concern) where the server is a replica set that still keeps that moment.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from bson import json_util
from bson.raw_bson import RawBSONDocument
from pymongo import collection as pymongo_collection
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from common.errors import PolystoreError
from databases.stores import mongo
from databases.stores.mongo import Document

SECONDS: Final = 12 * 3600.0
"""Bounds a whole dump or load."""
RESTORING: Final = "restoring."
"""Collections that are being loaded have this before their name."""
_BATCH: Final = 1000
_BATCH_BYTES: Final = 8 << 20
_MODULUS: Final = 1 << 256
_NO_SNAPSHOT: Final = frozenset({20, 72, 123, 239, 246, 263})
"""Codes of servers that give no snapshot (standalone, old), or keep the moment no longer."""

Done = Callable[[str], object]


class DocumentsDiffer(PolystoreError):
    """What lies in a file or collection is not what was written down about it."""

    code = "backups.documents_differ"
    status = 409
    title = "Documents differ"
    remedy = "Use another backup; the collections of the site were left as they were."


class CollectionsInTheWay(PolystoreError):
    """The database to load into holds documents."""

    code = "backups.not_empty"
    status = 409
    title = "MongoDB is not empty"
    remedy = "Give --replace to replace those collections."


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """One collection in files."""

    name: str
    path: str
    documents: int
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """All collections of the database in files."""

    version: str
    collections: tuple[Collection, ...]
    consistent: bool
    reason: str
    """Why the collections are not of one moment; empty where they are."""
    apart: tuple[str, ...]
    """Capped collections: no snapshot can be read of them, so each is of a moment of its own."""
    left_out: tuple[str, ...]
    """Views and the like, which hold no documents of their own."""


class Tally:
    """Counts documents and sums their checksums, in whatever order they come."""

    def __init__(self) -> None:
        """Begin with none."""
        self.documents = 0
        self._sum = 0

    def add(self, document: bytes | memoryview) -> None:
        """Take one document in."""
        self.documents += 1
        digest = int.from_bytes(hashlib.sha256(document).digest(), "big")
        self._sum = (self._sum + digest) % _MODULUS

    @property
    def checksum(self) -> str:
        """Return the sum."""
        return f"{self._sum:064x}"


@contextmanager
def _database(database: str) -> Iterator[Database[Document]]:
    with mongo.database(timeout=SECONDS) as ours:
        yield ours.client[database] if database else ours


def size() -> int:
    """Return the bytes of all documents, uncompressed."""
    with _database("") as chosen:
        return int(chosen.command("dbStats")["dataSize"])


def names(database: str = "") -> list[str]:
    """Return the collections of the site, without those that are being loaded."""
    with _database(database) as chosen:
        return sorted(found["name"] for found in _collections(chosen) if _is_ours(found))


def dump(folder: Path, details: Path, *, began: Callable[[int], object], done: Done) -> Dump:
    """Write every collection into the folder, and their options and indexes into `details`.

    :param began: told how many collections there are.
    :param done: told the name of each that is written.
    :raises AliasUnavailable: when MongoDB does not answer.
    """
    with _database("") as chosen:
        found = _collections(chosen)
        ours = sorted((each for each in found if _is_ours(each)), key=lambda each: each["name"])
        began(len(ours))
        described = [{**each, "indexes": _indexes(chosen, each["name"])} for each in ours]
        apart = {each["name"] for each in ours if each["options"].get("capped")}
        written, reason = _dump_all(chosen, [each["name"] for each in ours], apart, folder, done)
        _write(details, json_util.dumps(described, indent=1).encode())
        return Dump(
            version=str(chosen.client.server_info()["version"]),
            collections=tuple(written),
            consistent=not reason,
            reason=reason,
            apart=tuple(sorted(apart)),
            left_out=tuple(each["name"] for each in found if each["type"] != "collection"),
        )


def _dump_all(
    chosen: Database[Document],
    wanted: Sequence[str],
    apart: AbstractSet[str],
    folder: Path,
    done: Done,
) -> tuple[list[Collection], str]:
    numbered = list(enumerate(wanted, 1))

    def within(session: ClientSession | None) -> list[Collection]:
        return [
            _dump_one(chosen, each, folder, None if each[1] in apart else session, done)
            for each in numbered
        ]

    try:
        with chosen.client.start_session(snapshot=True) as session:
            return within(session), ""
    except OperationFailure as error:
        if error.code not in _NO_SNAPSHOT:
            raise
        reason = f"the server gives no snapshot (code {error.code})"
    return within(None), reason


def _dump_one(
    chosen: Database[Document],
    numbered: tuple[int, str],
    folder: Path,
    session: ClientSession | None,
    done: Done,
) -> Collection:
    number, name = numbered
    slug = "".join(sign if sign.isascii() and sign.isalnum() else "_" for sign in name)[:60]
    path = folder / f"{number:04d}-{slug}.bson"
    tally = Tally()
    with _opened(path) as file:
        for batch in _batches(chosen[name], session):
            for document in _split(batch):
                tally.add(document)
            file.write(batch)
    done(name)
    return Collection(name=name, path=path.name, documents=tally.documents, checksum=tally.checksum)


def read_file(path: Path) -> Iterator[bytes]:
    """Yield the documents of a file.

    :raises DocumentsDiffer: when it ends within a document.
    """
    with path.open("rb") as file:
        while head := file.read(4):
            length = int.from_bytes(head, "little")
            rest = file.read(max(0, length - 4))
            if length < 5 or len(rest) != length - 4 or rest[-1:] != b"\0":
                raise DocumentsDiffer(f"{path.name} is cut off or damaged.")
            yield head + rest


def tally_of_file(path: Path) -> Tally:
    """Return the count and checksum of a file's documents.

    :raises DocumentsDiffer: when it ends within a document.
    """
    tally = Tally()
    for document in read_file(path):
        tally.add(document)
    return tally


def load(
    folder: Path,
    details: Path,
    collections: Sequence[Collection],
    *,
    replace: bool,
    done: Done,
    database: str = "",
) -> list[str]:
    """Load collections under other names, prove them, and switch to them by renaming.

    Until everything has been loaded and proved nothing of the site's is touched.

    :param replace: collections of the same names give way; else documents in any are refused.
    :param database: another one than the site's.
    :returns: collections of the database that the backup does not have; they stay as they are.
    :raises CollectionsInTheWay: naming collections with documents.
    :raises DocumentsDiffer: when what was loaded is not what the manifest says.
    """
    described = {each["name"]: each for each in json_util.loads(details.read_text("utf-8"))}
    with _database(database) as chosen:
        present = {each["name"] for each in _collections(chosen)}
        if not replace:
            _require_empty(chosen, sorted(n for n in present if not n.startswith("system.")))
        _drop_leftovers(chosen)
        try:
            for each in collections:
                _load_one(chosen, each, described[each.name], folder / each.path)
                done(each.name)
            for each in collections:
                chosen[RESTORING + each.name].rename(each.name, dropTarget=True)
        finally:
            _drop_leftovers(chosen)
        ours = {each.name for each in collections}
        return sorted(n for n in present - ours if not n.startswith((RESTORING, "system.")))


def drop(database: str) -> None:
    """Drop a scratch database."""
    with _database(database) as chosen:
        chosen.client.drop_database(chosen.name)


def is_failure(error: Exception) -> bool:
    """Tell whether `error` is one of the driver's."""
    return isinstance(error, PyMongoError)


def _load_one(
    chosen: Database[Document], wanted: Collection, described: Document, path: Path
) -> None:
    name = RESTORING + wanted.name
    chosen.create_collection(name, **described.get("options", {}))
    made: Any = chosen[name]
    batch: list[RawBSONDocument] = []
    held = 0
    for document in read_file(path):
        batch.append(RawBSONDocument(document))
        held += len(document)
        if len(batch) >= _BATCH or held >= _BATCH_BYTES:
            made.insert_many(batch, bypass_document_validation=True)
            batch, held = [], 0
    if batch:
        made.insert_many(batch, bypass_document_validation=True)
    indexes = [index for index in described["indexes"] if index["name"] != "_id_"]
    if indexes:
        chosen.command("createIndexes", name, indexes=indexes)
    _require_same(chosen, name, wanted)


def _require_same(chosen: Database[Document], name: str, wanted: Collection) -> None:
    tally = Tally()
    for batch in _batches(chosen[name], None):
        for document in _split(batch):
            tally.add(document)
    if (tally.documents, tally.checksum) != (wanted.documents, wanted.checksum):
        raise DocumentsDiffer(
            f"{wanted.name} must have {wanted.documents} documents of the backup; "
            f"{tally.documents} were loaded, or others."
        )


def _require_empty(chosen: Database[Document], present: Sequence[str]) -> None:
    full = [
        name
        for name in present
        if not name.startswith(RESTORING) and chosen[name].find_one({}, {"_id": 1}) is not None
    ]
    if full:
        raise CollectionsInTheWay(f"MongoDB holds documents in {', '.join(full)}.")


def _drop_leftovers(chosen: Database[Document]) -> None:
    for found in _collections(chosen):
        if found["name"].startswith(RESTORING):
            chosen.drop_collection(found["name"])


def _collections(chosen: Database[Document]) -> list[Document]:
    return [
        {"name": found["name"], "type": found.get("type", ""), "options": found.get("options", {})}
        for found in chosen.list_collections()
    ]


def _is_ours(found: Document) -> bool:
    name = found["name"]
    return found["type"] == "collection" and not name.startswith((RESTORING, "system."))


def _indexes(chosen: Database[Document], name: str) -> list[Document]:
    return [
        {key: value for key, value in index.items() if key != "ns"}
        for index in chosen[name].list_indexes()
    ]


def _batches(
    collection: pymongo_collection.Collection[Document], session: ClientSession | None
) -> Iterator[bytes]:
    # The driver's stubs name the decoded type; what comes is the bytes of many documents.
    found: Any = collection.find_raw_batches({}, session=session, batch_size=_BATCH)
    yield from found


def _split(batch: bytes) -> Iterator[memoryview]:
    view = memoryview(batch)
    at = 0
    while at < len(batch):
        length = int.from_bytes(view[at : at + 4], "little")
        yield view[at : at + length]
        at += length


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _write(path: Path, content: bytes) -> None:
    with _opened(path) as file:
        file.write(content)
