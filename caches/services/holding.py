"""The index that this process answers from: loaded in the background, swapped whole, kept in doubt.

One thread per process asks every few seconds which versions answer, loads those that changed while
the old index serves, and swaps one reference. While the database is away the last index answers.
A process that has none then makes one, once, from the snapshot that a process on this machine wrote
or from the source of the zones.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

from django.conf import settings
from django.db import connections
from django.db.utils import Error

from caches import stores
from caches.models import Program
from caches.queries import loading, snapshot
from caches.queries.answers import Version, generations
from caches.queries.index import Contents, Indexes, ZoneIndex
from caches.services.preparing import PreparedSet, prepare
from caches.services.programs import PROGRAMS
from caches.services.sources import choose_location, read_source
from caches.stores import WorkerIndex
from common.errors import PolystoreError
from databases import breaker, placement
from databases.fallback import is_outage

logger = logging.getLogger("caches.holding")

EVERY_SECONDS: Final = 3.0
"""Between two looks; drawn up to a third longer, so that processes do not ask in step."""
STAND_IN_SECONDS: Final = 10.0
"""How long a request waits for an index that is made without the database."""
TRY_AGAIN_SECONDS: Final = 30.0
"""After that could not be made, until it is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Everything that is in memory, replaced as a whole."""

    indexes: Indexes
    origin: str
    loaded_ms: float = 0.0
    tag: str = ""
    """Programs and generations in one word, for ETags."""


@dataclass(slots=True)
class _Process:
    """What belongs to this process; a child begins anew, except for the index that it inherits."""

    lock: threading.Lock
    thread: threading.Thread | None = None
    making: threading.Thread | None = None
    failed_at: float = float("-inf")
    reachable: bool = True


_held: Held | None = None
_process = _Process(threading.Lock())


def current() -> Held | None:
    """Return what is in memory, or None while the database answers."""
    return _held


def reachable() -> bool:
    """Tell whether the database that holds the zones answered when it was last asked."""
    guard = breaker.get(placement.alias_of("caches"))
    return _process.reachable and not (guard is not None and guard.is_open)


def keep() -> None:
    """Load the index and keep it up to date from now on, in one thread per process.

    Does nothing where the setting KEEP_ZONES_INDEX is false.
    """
    if _process.thread is not None or not settings.KEEP_ZONES_INDEX:
        return
    with _process.lock:
        if _process.thread is None:
            _process.thread = threading.Thread(target=_in_turn, name="zones-index", daemon=True)
            _process.thread.start()


def look() -> bool:
    """Ask which versions answer, load what changed and swap it in; tell whether anything changed.

    :raises django.db.Error: when the database does not answer; what is held is kept.
    """
    begun = perf_counter()
    pointers = loading.pointers()
    known = {index.version.program: index for index in _held.indexes} if _held else {}
    if _held is not None and _held.origin == "database" and _points(known) == pointers:
        return False
    indexes, contents = [], []
    for program, pointer in sorted(pointers.items()):
        index = known.get(program)
        if index is None or _point(index) != pointer:
            read = loading.read(program)
            if read is None:
                continue
            contents.append(read)
            index = ZoneIndex(read)
        indexes.append(index)
    _swap(indexes, origin="database", milliseconds=(perf_counter() - begun) * 1000)
    for one in contents:
        _keep_snapshot(one)
    return True


def forget() -> None:
    """Hold nothing any more. The next look loads anew."""
    global _held  # noqa: PLW0603 - the one reference that is swapped
    _held = None
    _process.failed_at = float("-inf")
    _process.reachable = True


def stand_in() -> Held | None:
    """Return an index that was made without the database, or None when there is none.

    Made once, by the first who asks; the others wait for it, all for a bounded time.
    """
    if _held is not None:
        return _held
    with _process.lock:
        making = _process.making
        if making is None and time.monotonic() - _process.failed_at > TRY_AGAIN_SECONDS:
            making = threading.Thread(target=_make_stand_in, name="zones-stand-in", daemon=True)
            _process.making = making
            making.start()
    if making is not None:
        making.join(STAND_IN_SECONDS)
    return _held


def own_state() -> WorkerIndex:
    """Return what this process holds."""
    held = _held
    return WorkerIndex(
        host=socket.gethostname(),
        pid=os.getpid(),
        origin=held.origin if held else "",
        generations=generations(index.version for index in held.indexes) if held else {},
        database_reachable=reachable(),
        loaded_ms=round(held.loaded_ms, 1) if held else 0.0,
        at=time.time(),
    )


def _in_turn() -> None:
    pause = threading.Event()
    while True:
        try:
            look()
            _process.reachable = True
        except Error as error:
            _process.reachable = not is_outage(error)
            logger.warning("zones.index.not_asked", extra={"reason": type(error).__name__})
        except Exception:
            # Whatever it is, the next turn may do better; a thread that ended would not.
            logger.exception("zones.index.not_loaded")
        finally:
            connections.close_all()
        try:
            stores.publish(own_state())
        except PolystoreError:
            pass  # Redis is away, which its breaker has said already
        except Exception:
            logger.exception("zones.index.not_published")
        pause.wait(EVERY_SECONDS * random.uniform(1.0, 1.33))


def _points(known: Mapping[str, ZoneIndex]) -> Mapping[str, tuple[uuid.UUID | None, int]]:
    return {program: _point(index) for program, index in known.items()}


def _point(index: ZoneIndex) -> tuple[uuid.UUID | None, int]:
    return index.version.dataset_id, index.version.generation


def _swap(indexes: list[ZoneIndex], *, origin: str, milliseconds: float) -> None:
    global _held  # noqa: PLW0603 - the one reference that is swapped
    if not indexes:
        _held = None  # no zones yet: the database is asked, so that the first ones show at once
        return
    held = generations(index.version for index in indexes)
    tag = "-".join(f"{index.version.name}.{held[index.version.program]}" for index in indexes)
    _held = Held(indexes=Indexes(indexes), origin=origin, loaded_ms=milliseconds, tag=tag)
    logger.info(
        "zones.index.loaded",
        extra={"origin": origin, "generations": held, "ms": round(milliseconds, 1)},
    )


# Without the database --------------------------------------------------------------------------


def _make_stand_in() -> None:
    try:
        begun = perf_counter()
        found = _from_snapshots()
        origin = "snapshot" if found else "source"
        indexes = [ZoneIndex(contents) for contents in found or _from_source()]
        if _held is None:  # the database may be back
            _swap(indexes, origin=origin, milliseconds=(perf_counter() - begun) * 1000)
        if not indexes:
            _process.failed_at = time.monotonic()
    except Exception as error:
        _process.failed_at = time.monotonic()
        if not isinstance(error, PolystoreError):
            logger.exception("zones.stand_in.failed")
        else:
            logger.warning("zones.stand_in.failed", extra={"code": error.code})
    finally:
        connections.close_all()
        _process.making = None


def _from_snapshots() -> list[Contents]:
    folder = _snapshots()
    if folder is None:
        return []
    found = []
    for program in Program.values:
        try:
            contents = snapshot.read(folder, program)
        except snapshot.SnapshotBroken as error:
            logger.warning("zones.snapshot.broken", extra={"reason": str(error)})
            continue
        if contents is not None:
            found.append(contents)
    return found


def _from_source() -> list[Contents]:
    """Read the source as seeding does. Only the first program has one of its own."""
    location = choose_location(
        given="",
        configured=settings.OPPORTUNITY_ZONES_SOURCE,
        beside=Path(settings.BASE_DIR).parent / "shared" / "data",
    )
    source = read_source(location, allow_private=settings.OPPORTUNITY_ZONES_ALLOW_PRIVATE)
    return [_contents_of(prepare(source, program=Program.OZ1))]


def _contents_of(prepared: PreparedSet) -> Contents:
    facts = PROGRAMS[prepared.program]
    return Contents(
        version=Version(
            program=prepared.program.value,
            generation=0,
            name=prepared.version,
            resolution=prepared.resolution,
            miss=prepared.miss,
            is_sample=prepared.is_sample,
            effective_from=facts.effective_from,
            effective_to=facts.effective_to,
        ),
        zones=[
            (zone.tract, tuple(part.packed or zone.packed or b"" for part in zone.parts))
            for zone in prepared.zones
        ],
        areas=[(area.miss, area.packed) for area in prepared.areas],
    )


def _snapshots() -> Path | None:
    folder = settings.OPPORTUNITY_ZONES_SNAPSHOTS
    return Path(folder) if folder else None


def _keep_snapshot(contents: Contents) -> None:
    folder = _snapshots()
    if folder is None:
        return
    try:
        snapshot.write(folder, contents)
    except OSError as error:
        logger.info("zones.snapshot.not_written", extra={"reason": type(error).__name__})


def _begin_anew() -> None:
    global _process  # noqa: PLW0603 - threads and locks belong to the parent
    _process = _Process(threading.Lock())


os.register_at_fork(after_in_child=_begin_anew)
