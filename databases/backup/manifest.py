"""The manifest: what a backup holds, in counts and checksums. A folder without one is no backup."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from common.errors import PolystoreError

FILE: Final = "manifest.json"
FORMAT: Final = 1
MONGODB: Final = "mongodb"
_CHUNK: Final = 1 << 20


class NoBackup(PolystoreError):
    """The folder holds no backup, or not one that this version of the site can read."""

    code = "backups.no_backup"
    status = 404
    title = "No backup"
    remedy = "Name a folder that `manage.py backup` made and finished."


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCount:
    """The rows of one table, in the snapshot of the dump."""

    schema: str
    name: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceState:
    """A rising sequence, as it stood before the dump began: the dump has this value or more."""

    schema: str
    name: str
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseDump:
    """One PostgreSQL database."""

    name: str
    """The first alias that names it."""
    aliases: tuple[str, ...]
    path: str
    """The file (custom format) or folder (directory format) in the backup."""
    jobs: int
    major: int
    version: str
    server: str
    database: str
    size: int
    taken_at: str
    """The moment of its snapshot, by the server's clock."""
    tables: tuple[TableCount, ...]
    sequences: tuple[SequenceState, ...]
    migrations: dict[str, list[str]]
    """App label to the migrations that were applied."""

    @property
    def rows(self) -> int:
        """Return the rows of all tables."""
        return sum(table.rows for table in self.tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionDump:
    """One MongoDB collection."""

    name: str
    path: str
    documents: int
    checksum: str
    """The sum of its documents' SHA-256, in whatever order they stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoDump:
    """MongoDB's database."""

    version: str
    details: str
    """The file with every collection's options and indexes."""
    consistent: bool
    """All collections as they were at one moment."""
    reason: str
    """Why not, where it is not."""
    taken_at: str
    collections: tuple[CollectionDump, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of the backup."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All of one backup."""

    id: str
    started_at: str
    ended_at: str
    whole: bool
    """Every configured store is in it."""
    databases: tuple[DatabaseDump, ...]
    mongodb: MongoDump | None
    roles: dict[str, str]
    """Name of a database dump to the file with its server's roles."""
    placement: dict[str, str]
    """App label to the alias that its rows live on."""
    files: tuple[FileEntry, ...]
    notes: tuple[str, ...] = field(default=())
    format: int = FORMAT

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(entry.size for entry in self.files)

    @property
    def stores(self) -> list[str]:
        """Return the names of what is in it."""
        return [dump.name for dump in self.databases] + ([MONGODB] if self.mongodb else [])


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest durably; it is the last file of a backup."""
    members = asdict(manifest)
    text = json.dumps({**members, "seal": _seal(members)}, indent=1)
    descriptor = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(folder: Path) -> Manifest:
    """Return the manifest of a backup.

    :raises NoBackup: when there is none, when it was changed, and when it is of another format.
    """
    if folder.name.endswith(".partial"):
        raise NoBackup(f"{folder.name} was not finished.")
    try:
        members: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
        seal = members.pop("seal")
    except FileNotFoundError:
        raise NoBackup(f"{folder.name} has no {FILE}.") from None
    except (OSError, ValueError, KeyError, AttributeError):
        raise NoBackup(f"{FILE} of {folder.name} cannot be read.") from None
    if members.get("format") != FORMAT:
        raise NoBackup(f"{folder.name} has a format that this version does not know.")
    if seal != _seal(members):
        raise NoBackup(f"{FILE} of {folder.name} was changed after it was written.")
    return _built(members)


def entries(folder: Path) -> tuple[FileEntry, ...]:
    """Return every file of the folder but the manifest, with its checksum."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != FILE)
    return tuple(
        FileEntry(
            path=str(path.relative_to(folder)), size=path.stat().st_size, sha256=sha256_of(path)
        )
        for path in found
    )


def sha256_of(path: Path) -> str:
    """Return the checksum of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def chosen(manifest: Manifest, only: Sequence[str]) -> list[str]:
    """Return the stores to work on: those named (by any of their aliases), or all.

    :raises NoBackup: for a name that is not in the backup.
    """
    by_alias = {alias: dump.name for dump in manifest.databases for alias in dump.aliases}
    if manifest.mongodb is not None:
        by_alias[MONGODB] = MONGODB
    for name in only:
        if name not in by_alias:
            refused = NoBackup(f"{name!r} is not in this backup.")
            refused.remedy = f"It holds: {', '.join(by_alias)}."
            raise refused
    return list(dict.fromkeys(by_alias[name] for name in only)) or manifest.stores


def _seal(members: dict[str, Any]) -> str:
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _built(members: dict[str, Any]) -> Manifest:
    mongodb = members.pop("mongodb")
    return Manifest(
        **{
            **members,
            "databases": tuple(_database(each) for each in members["databases"]),
            "mongodb": None
            if mongodb is None
            else MongoDump(
                **{
                    **mongodb,
                    "collections": tuple(CollectionDump(**each) for each in mongodb["collections"]),
                }
            ),
            "files": tuple(FileEntry(**each) for each in members["files"]),
            "notes": tuple(members["notes"]),
        }
    )


def _database(members: dict[str, Any]) -> DatabaseDump:
    return DatabaseDump(
        **{
            **members,
            "aliases": tuple(members["aliases"]),
            "tables": tuple(TableCount(**each) for each in members["tables"]),
            "sequences": tuple(SequenceState(**each) for each in members["sequences"]),
        }
    )
