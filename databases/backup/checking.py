"""Prove a backup: every file, every row; and, where asked for, by restoring it into nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg.sql import SQL, Identifier

from common.errors import PolystoreError
from databases.backup import manifest, mongodb, postgres_load, targets
from databases.backup.manifest import DatabaseDump, Manifest
from databases.backup.progress import Progress
from databases.backup.targets import Target
from databases.stores import mongo_dump


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was looked at, and what is wrong."""

    stores: tuple[str, ...]
    files: int
    rows: int
    documents: int
    deep: bool
    findings: tuple[str, ...]


def check(
    folder: Path, *, only: Sequence[str] = (), deep: bool = False, progress: Progress | None = None
) -> Proof:
    """Read all of a backup and compare it with its manifest.

    :param deep: restore it, too: into a scratch database beside the one that it would be restored
        to, which is dropped again.
    :raises NoBackup: when the folder holds no backup, or `only` names what is not in it.
    """
    progress = progress or Progress()
    known = manifest.read(folder)
    stores = manifest.chosen(known, only)
    dumps = [dump for dump in known.databases if dump.name in stores]
    documents = known.mongodb if manifest.MONGODB in stores else None
    progress.expect(len(dumps))
    findings = files(folder, known)
    if not findings:
        for dump in dumps:
            progress.stage(f"counting the rows of {dump.name}")
            findings += _rows(folder, dump)
            progress.moved()
        findings += mongodb.differences(folder, documents) if documents else []
    if deep and not findings:
        findings += _restored_into_nothing(folder, known, stores, progress)
    return Proof(
        stores=tuple(stores),
        files=len(known.files),
        rows=sum(dump.rows for dump in dumps),
        documents=sum(each.documents for each in documents.collections) if documents else 0,
        deep=deep,
        findings=tuple(findings),
    )


def files(folder: Path, known: Manifest) -> list[str]:
    """Return which files are missing, changed or not the backup's."""
    found: list[str] = []
    for entry in known.files:
        path = folder / entry.path
        if not path.is_file():
            found.append(f"{entry.path} is missing")
        elif path.stat().st_size != entry.size:
            found.append(f"{entry.path} has {path.stat().st_size} bytes instead of {entry.size}")
        elif manifest.sha256_of(path) != entry.sha256:
            found.append(f"{entry.path} was changed: its SHA-256 is another")
    listed = {entry.path for entry in known.files} | {manifest.FILE}
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return [*found, *(f"{path} does not belong to it" for path in sorted(present - listed))]


def _rows(folder: Path, dump: DatabaseDump) -> list[str]:
    try:
        counted = postgres_load.rows_in(folder / dump.path, major=dump.major)
    except PolystoreError as error:
        return [f"{dump.name}: {error.detail} {error.remedy}"]
    expected = {
        postgres_load.plain(f"{table.schema}.{table.name}"): table.rows for table in dump.tables
    }
    return [
        f"{dump.name}: {name} must have {expected.get(name, 0)} rows and the dump has "
        f"{counted.get(name, 0)}"
        for name in sorted(expected.keys() | counted.keys())
        if expected.get(name, 0) != counted.get(name, 0)
    ]


def _restored_into_nothing(
    folder: Path, known: Manifest, stores: Sequence[str], progress: Progress
) -> list[str]:
    findings: list[str] = []
    for dump in known.databases:
        if dump.name not in stores:
            continue
        progress.stage(f"restoring {dump.name} into a scratch database")
        try:
            with _scratch(targets.target_of(dump.name)) as target:
                postgres_load.load(
                    target,
                    folder / dump.path,
                    dump,
                    replace=False,
                    with_privileges=False,
                    progress=progress,
                )
        except PolystoreError as error:
            findings.append(f"{dump.name}: {error.detail}")
    if known.mongodb is not None and manifest.MONGODB in stores:
        progress.stage("restoring mongodb into a scratch database")
        scratch = f"polystore_check_{uuid.uuid4().hex[:12]}"
        try:
            mongodb.load(folder, known.mongodb, replace=False, progress=progress, database=scratch)
        except PolystoreError as error:
            findings.append(f"mongodb: {error.detail}")
        finally:
            mongo_dump.drop(scratch)
    return findings


@contextmanager
def _scratch(beside: Target) -> Iterator[Target]:
    """Make an empty database on the server, and drop it at the end."""
    name = f"polystore_check_{uuid.uuid4().hex[:12]}"
    with beside.connect() as connection:
        connection.execute(SQL("CREATE DATABASE {} TEMPLATE template0").format(Identifier(name)))
    try:
        yield beside.on(name)
    finally:
        with beside.connect() as connection:
            connection.execute(
                SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name))
            )
