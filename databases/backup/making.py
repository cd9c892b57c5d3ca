"""Make one backup: into DIR.partial, and to DIR by a rename when all of it is there."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.utils import timezone

from common.errors import PolystoreError
from common.ids import uuid7
from databases import placement
from databases.backup import manifest, mongodb, postgres_dump, programs, targets
from databases.backup.manifest import MONGODB, DatabaseDump, Manifest, MongoDump
from databases.backup.progress import Progress
from databases.backup.targets import Source
from databases.stores import mongo, mongo_dump

PARTIAL: Final = ".partial"
REMOVING: Final = ".removing"
SHARE_NEEDED: Final = 0.5
"""Of what the databases take, compressed rows take less than this; indexes are not dumped."""


class BackupRefused(PolystoreError):
    """The backup cannot be made there; nothing was written."""

    code = "backups.refused"
    status = 409
    title = "No backup can be made there"

    def __init__(self, detail: str, *, remedy: str) -> None:
        """Say what stands against it, and what can be done."""
        super().__init__(detail)
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a backup is to hold."""

    sources: Sequence[Source]
    mongodb: bool
    whole: bool


def make(
    folder: Path,
    *,
    only: Sequence[str] = (),
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Back up every configured database and MongoDB, or those named, into a new folder.

    Each is of one moment; the site may write meanwhile. What is not finished is never found under
    the folder's name: it is written beside it and renamed at the end.

    :param only: aliases, or `mongodb`.
    :param jobs: connections that dump one database at once; by its size by default.
    :raises BackupRefused: when there is something, no space or no right to write.
    :raises NoSuchStore: for a name that is not in use.
    :raises NotReached: naming the database that does not answer.
    :raises ProgramsMissing: without PostgreSQL's programs of the server's version.
    :raises ProgramFailed: when one of them fails.
    """
    progress = progress or Progress()
    folder = folder.absolute()
    _require_place(folder)
    wanted = _wanted(tuple(only))
    for source in wanted.sources:
        programs.find("pg_dump", major=source.major)
    _require_space(folder.parent, wanted)
    started_at = timezone.now().isoformat()
    with _partial(folder) as (partial, lock):
        databases, roles, notes = _dump_databases(wanted, partial, jobs, progress, lock)
        documents: MongoDump | None = None
        if wanted.mongodb:
            progress.stage(f"dumping {MONGODB}")
            documents, more = mongodb.dump(partial, progress=progress)
            notes += more
        progress.stage("checksums")
        made = Manifest(
            id=str(uuid7()),
            started_at=started_at,
            ended_at=timezone.now().isoformat(),
            whole=wanted.whole,
            databases=tuple(databases),
            mongodb=documents,
            roles=roles,
            placement=dict(placement.placed()),
            files=manifest.entries(partial),
            notes=tuple(notes),
        )
        manifest.write(partial, made)
        _finish(partial, folder)
    return made


def is_being_written(partial: Path) -> bool:
    """Tell whether a process, or a program that it started, still writes into DIR.partial."""
    try:
        lock = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def remove(folder: Path) -> None:
    """Remove a backup; from the first moment on it does not pass for one any more."""
    going = folder.with_name(folder.name + REMOVING)
    folder.rename(going)
    shutil.rmtree(going)


def sweep(folder: Path, left: Sequence[Path]) -> None:
    """Remove what processes that ended have left unfinished in the folder."""
    for each in left:
        if each.parent == folder:
            shutil.rmtree(each, ignore_errors=True)


def _wanted(only: tuple[str, ...]) -> Wanted:
    aliases = tuple(name for name in only if name != MONGODB)
    with_mongodb = MONGODB in only if only else mongo.configured()
    if with_mongodb and not mongo.configured():
        raise mongo.MongoNotConfigured("MongoDB is not configured.")
    found = targets.sources(aliases) if aliases or not only else []
    covered = {alias for source in found for alias in source.aliases}
    whole = covered >= set(targets.names_in_use()) and with_mongodb == mongo.configured()
    return Wanted(sources=found, mongodb=with_mongodb, whole=whole)


def _require_place(folder: Path) -> None:
    if folder.name.endswith((PARTIAL, REMOVING)):
        raise BackupRefused(
            f"{folder.name} is a name for what is not finished.", remedy="Choose another name."
        )
    if folder.exists() or folder.is_symlink():
        raise BackupRefused(f"{folder} exists already.", remedy="Name a folder that is new.")
    if not folder.parent.is_dir():
        raise BackupRefused(
            f"There is no folder {folder.parent}.", remedy="Make it, readable by nobody else."
        )
    if not os.access(folder.parent, os.W_OK | os.X_OK):
        raise BackupRefused(
            f"{folder.parent} may not be written to.", remedy="Give the site's user the right to."
        )


def _require_space(parent: Path, wanted: Wanted) -> None:
    needed = int(sum(source.size for source in wanted.sources) * SHARE_NEEDED)
    if wanted.mongodb:
        needed += mongo_dump.size()
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise BackupRefused(
            f"{parent} has {free:,} bytes free, and the backup may need {needed:,}.",
            remedy="Make room, or name a folder on another disk.",
        )


@contextmanager
def _partial(folder: Path) -> Iterator[tuple[Path, int]]:
    """Give a new DIR.partial and the lock on it; it is gone after an error."""
    partial = folder.with_name(folder.name + PARTIAL)
    if partial.is_dir():
        if is_being_written(partial):
            raise BackupRefused(
                f"Another backup is writing {partial.name}.", remedy="Wait until it has ended."
            )
        shutil.rmtree(partial)
    partial.mkdir(mode=0o700)
    lock = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield partial, lock
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def _dump_databases(
    wanted: Wanted, partial: Path, jobs: int | None, progress: Progress, lock: int
) -> tuple[list[DatabaseDump], dict[str, str], list[str]]:
    databases: list[DatabaseDump] = []
    roles: dict[str, str] = {}
    notes: list[str] = []
    of_server: dict[str, str] = {}
    for source in wanted.sources:
        progress.stage(f"dumping {source.name}")
        databases.append(
            postgres_dump.dump(source, partial, jobs=jobs, progress=progress, held=[lock])
        )
        if source.server not in of_server:
            path, note = postgres_dump.dump_roles(source, partial, held=[lock])
            of_server[source.server] = path
            notes += [note] if note else []
        if of_server[source.server]:
            roles[source.name] = of_server[source.server]
    return databases, roles, notes


def _finish(partial: Path, folder: Path) -> None:
    """Give the backup its name, durably, with rights for its owner alone."""
    for path in partial.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    _sync(partial)
    partial.rename(folder)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
