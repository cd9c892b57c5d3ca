"""A version in a file beside the process: what it answers from when it starts without a database.

One file per program and database. It is written whole and renamed, and its checksum is compared
before it is believed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from django.db import connections, router

from caches.models import Miss, Zone
from caches.queries.answers import Tract, Version
from caches.queries.index import Contents

_MARK: Final = b"polystore zones 1\n"
_SUM: Final = 32


class SnapshotBroken(ValueError):
    """The file is not what was written."""


def path_of(folder: Path, program: str) -> Path:
    """Return the file of a program, for the database that this process uses."""
    values = connections.settings[router.db_for_read(Zone)]
    place = f"{values['HOST']}:{values['PORT']}:{values['NAME']}"
    return folder / f"{program}-{hashlib.sha256(place.encode()).hexdigest()[:12]}.zones"


def write(folder: Path, contents: Contents) -> bool:
    """Write a version, unless the file holds it already; tell whether it was written.

    :raises OSError: when the folder cannot be written.
    """
    path = path_of(folder, contents.version.program)
    version = _version_wire(contents.version)
    if _head_of(path).get("version") == version:
        return False
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    zones = [[*tract, [len(part) for part in parts]] for tract, parts in contents.zones]
    areas = [[miss.value, len(area)] for miss, area in contents.areas]
    head = json.dumps({"version": version, "zones": zones, "areas": areas}).encode()
    blobs = [part for _, parts in contents.zones for part in parts]
    blobs += [area for _, area in contents.areas]
    body = b"".join((_MARK, len(head).to_bytes(8, "big"), head, *blobs))
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        try:
            file.write(body + hashlib.sha256(body).digest())
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise
    return True


def read(folder: Path, program: str) -> Contents | None:
    """Return the version in the file of a program; None where there is no file.

    :raises SnapshotBroken: when it was cut short or changed.
    """
    try:
        data = path_of(folder, program).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotBroken(type(error).__name__) from error
    if hashlib.sha256(data[:-_SUM]).digest() != data[-_SUM:] or not data.startswith(_MARK):
        raise SnapshotBroken("The checksum is another.")
    return _contents(data)


def _contents(data: bytes) -> Contents:
    start = len(_MARK) + 8
    at = start + int.from_bytes(data[len(_MARK) : start], "big")
    head = json.loads(data[start:at])
    zones = []
    for *told, sizes in head["zones"]:
        parts, at = _cut(data, at, sizes)
        zones.append((Tract(*told), parts))
    areas = []
    for miss, size in head["areas"]:
        (area,), at = _cut(data, at, [size])
        areas.append((Miss(miss), area))
    return Contents(version=_version(head["version"]), zones=zones, areas=areas)


def _cut(data: bytes, at: int, sizes: Sequence[int]) -> tuple[tuple[bytes, ...], int]:
    parts = []
    for size in sizes:
        parts.append(data[at : at + size])
        at += size
    return tuple(parts), at


def _head_of(path: Path) -> dict[str, Any]:
    """Return the head of a file, or nothing where it is not there or not whole."""
    try:
        with path.open("rb") as file:
            if file.read(len(_MARK)) != _MARK:
                return {}
            head: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "big")))
            return head
    except (OSError, ValueError):
        return {}


def _version_wire(version: Version) -> dict[str, Any]:
    return {
        "program": version.program,
        "generation": version.generation,
        "name": version.name,
        "resolution": version.resolution,
        "miss": version.miss.value,
        "is_sample": version.is_sample,
        "effective_from": version.effective_from.isoformat(),
        "effective_to": version.effective_to.isoformat(),
        "dataset_id": str(version.dataset_id) if version.dataset_id else None,
    }


def _version(told: dict[str, Any]) -> Version:
    days = {name: dt.date.fromisoformat(told[name]) for name in ("effective_from", "effective_to")}
    dataset_id = uuid.UUID(told["dataset_id"]) if told["dataset_id"] else None
    return Version(**{**told, **days, "miss": Miss(told["miss"]), "dataset_id": dataset_id})
