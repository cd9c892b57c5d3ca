"""MongoDB's part of a backup."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from django.utils import timezone

from databases.backup.manifest import MONGODB, CollectionDump, MongoDump
from databases.backup.progress import Progress
from databases.stores import mongo_dump

DETAILS: Final = "collections.json"


def dump(folder: Path, *, progress: Progress) -> tuple[MongoDump, list[str]]:
    """Write every collection below the folder; return what it holds, and notes for people.

    :raises databases.breaker.AliasUnavailable: when MongoDB does not answer.
    """
    place = folder / MONGODB
    place.mkdir(mode=0o700)
    taken_at = timezone.now().isoformat()
    found = mongo_dump.dump(
        place, place / DETAILS, began=progress.expect, done=lambda _: progress.moved()
    )
    notes = [f"mongodb: its collections are not of one moment: {found.reason}"]
    if found.consistent:
        notes = []
    if found.apart:
        names = ", ".join(found.apart)
        notes.append(f"mongodb: capped, so each of a moment of its own: {names}")
    if found.left_out:
        notes.append(f"mongodb: left out, as they hold no documents: {', '.join(found.left_out)}")
    return MongoDump(
        version=found.version,
        details=f"{MONGODB}/{DETAILS}",
        consistent=found.consistent,
        reason=found.reason,
        taken_at=taken_at,
        collections=tuple(
            CollectionDump(
                name=each.name,
                path=f"{MONGODB}/{each.path}",
                documents=each.documents,
                checksum=each.checksum,
            )
            for each in found.collections
        ),
    ), notes


def differences(folder: Path, dumped: MongoDump) -> list[str]:
    """Return what is wrong with the files: counts and checksums of their documents."""
    found: list[str] = []
    for each in dumped.collections:
        try:
            tally = mongo_dump.tally_of_file(folder / each.path)
        except (mongo_dump.DocumentsDiffer, OSError) as error:
            found.append(f"mongodb {each.name}: {error}")
            continue
        if (tally.documents, tally.checksum) != (each.documents, each.checksum):
            found.append(
                f"mongodb {each.name}: {each.documents} documents are expected, the file holds "
                f"{tally.documents}, or others"
            )
    return found


def load(
    folder: Path, dumped: MongoDump, *, replace: bool, progress: Progress, database: str = ""
) -> list[str]:
    """Load every collection and switch to it; return notes for people.

    :raises databases.stores.mongo_dump.CollectionsInTheWay: unless `replace`.
    :raises databases.stores.mongo_dump.DocumentsDiffer: when it is not what the manifest says.
    """
    progress.expect(len(dumped.collections))
    wanted = [
        mongo_dump.Collection(
            name=each.name, path=each.path, documents=each.documents, checksum=each.checksum
        )
        for each in dumped.collections
    ]
    others = mongo_dump.load(
        folder,
        folder / dumped.details,
        wanted,
        replace=replace,
        done=lambda _: progress.moved(),
        database=database,
    )
    if not others:
        return []
    return [f"mongodb: not in the backup and left as they are: {', '.join(others)}"]
