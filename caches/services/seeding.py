"""Seeding: write a whole new version beside the one that answers, then move the pointer.

Whoever dies on the way leaves the old version answering; the next run removes what was begun.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from caches.models import Dataset, Program
from caches.services import versions, writing
from caches.services.preparing import PreparedSet, fingerprint, prepare
from caches.services.programs import PROGRAMS
from caches.services.sources import is_shipped_sample, read_source
from common.errors import PolystoreError
from databases.migration.connect import direct_connection

FRESH_FOR: Final = dt.timedelta(days=90)
"""After this time without a look at the source the data counts as stale."""
SMALLEST_SHARE: Final = 0.995
"""A new version with a smaller share of the old one's zones or polygons is refused."""
_LOCK: Final = 0x6F7A_7365_6564
"""The advisory lock of seeding ("ozseed"), one per program."""
_LEASE: Final = dt.timedelta(minutes=2)
"""Where there are no advisory locks: how long a silent run counts as running."""


class SeedingRuns(PolystoreError):
    """Another run is seeding the same program."""

    code, status, title = "caches.seeding_runs", 409, "Another run is seeding the zones"
    remedy = "Wait until it has ended; the status tells how far it is."


class SetShrank(PolystoreError):
    """The new version holds clearly fewer zones or polygons than the one that answers."""

    code, status, title = "caches.set_shrank", 409, "The new zones are fewer than the old"
    remedy = "Check the source; seed with --force when the loss is meant."


class Outcome(StrEnum):
    """How a run ended."""

    SEEDED = "seeded"
    UNCHANGED = "unchanged"


class Progress:
    """Told about a run; the command shows it."""

    def stage(self, name: str) -> None:
        """Say what is being done now."""

    def wrote(self, done: int, total: int) -> None:
        """Say how many zones are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedReport:
    """What a run did."""

    outcome: Outcome
    version: str
    source: str
    is_sample: bool
    zone_count: int
    polygon_count: int
    expected_count: int
    generation: int | None = None
    notes: tuple[str, ...] = field(default=())


def seed(
    *,
    location: str,
    at: dt.datetime,
    program: Program = Program.OZ1,
    force: bool = False,
    allow_private: bool = False,
    progress: Progress | None = None,
) -> SeedReport:
    """Bring the zones of a program up to date with a source.

    :param location: file, folder, URL (see `sources.read_source`).
    :param at: now; the version counts as fresh from this time.
    :param force: also take a set that shrank, and write even when nothing changed.
    :raises SourceRefused: when the source cannot be used; nothing is written.
    :raises SetShrank: when the set is clearly smaller; nothing is written.
    :raises SeedingRuns: when another run is at it.
    """
    told = progress or Progress()
    using = router.db_for_write(Dataset)
    with _alone(using=using, program=program, at=at):
        active = Dataset.objects.using(using).of_program(program).active().first()
        _remove_unfinished(using, program)
        if active is not None and not force and _is_step_back_to_sample(active, location):
            return _unchanged(active, at=None, notes=("the sample does not replace real zones",))
        source = read_source(location, allow_private=allow_private)
        if active is not None and not force and active.source_sha256 == fingerprint(source):
            return _unchanged(active, at=at)
        prepared = prepare(source, program=program, force=force, announce=told.stage)
        if active is not None and not force:
            if active.content_sha256 == prepared.content_sha256:
                return _unchanged(active, at=at, source_sha256=prepared.source_sha256)
            _refuse_shrunken(active, prepared)
        return _write(prepared, using=using, at=at, progress=told)


def _is_step_back_to_sample(active: Dataset, location: str) -> bool:
    return not active.is_sample and is_shipped_sample(location)


def _unchanged(
    active: Dataset, *, at: dt.datetime | None, source_sha256: str = "", notes: tuple[str, ...] = ()
) -> SeedReport:
    """Note on the version that its source was seen to say the same. No zone row is written."""
    if at is not None:
        active.verified_at, active.expires_at = at, at + FRESH_FOR
        active.source_sha256 = source_sha256 or active.source_sha256
        active.save(update_fields=["verified_at", "expires_at", "source_sha256"])
    return _report(active, Outcome.UNCHANGED, generation=None, notes=notes)


def _refuse_shrunken(active: Dataset, prepared: PreparedSet) -> None:
    if active.is_sample:
        return
    for what, old, new in (
        ("zones", active.zone_count, len(prepared.zones)),
        ("polygons", active.polygon_count, prepared.polygon_count),
    ):
        if prepared.is_sample or new < old * SMALLEST_SHARE:
            raise SetShrank(f"The source holds {new} {what}; the version in use holds {old}.")


def _write(prepared: PreparedSet, *, using: str, at: dt.datetime, progress: Progress) -> SeedReport:
    facts = PROGRAMS[prepared.program]
    progress.stage("writing")
    dataset = Dataset.objects.using(using).create(
        program=prepared.program,
        source=prepared.source,
        vintage=facts.vintage,
        resolution=prepared.resolution,
        effective_from=facts.effective_from,
        effective_to=facts.effective_to,
        is_sample=prepared.is_sample,
        miss=prepared.miss,
        expected_count=prepared.expected_count,
        missing_by_state=dict(prepared.missing_by_state),
        source_sha256=prepared.source_sha256,
        content_sha256=prepared.content_sha256,
        heartbeat_at=at,
    )
    for done in writing.write_zones(dataset=dataset, zones=prepared.zones, using=using):
        _beat(dataset, using, done=done)
        progress.wrote(done, len(prepared.zones))
    writing.write_areas(dataset=dataset, areas=prepared.areas, using=using)
    writing.analyse(using=using)
    _finish(dataset, prepared, using=using, at=at)
    progress.stage("switching")
    pointer = versions.activate(dataset=dataset, at=at)
    versions.remove_old_versions(program=prepared.program)
    return _report(
        dataset, Outcome.SEEDED, generation=pointer.generation, notes=tuple(prepared.notes)
    )


def _beat(dataset: Dataset, using: str, *, done: int) -> None:
    Dataset.objects.using(using).filter(pk=dataset.pk).update(
        zone_count=done, heartbeat_at=timezone.now()
    )


def _finish(dataset: Dataset, prepared: PreparedSet, *, using: str, at: dt.datetime) -> None:
    """Mark the version as whole, after counting what really lies in the database."""
    stored = dataset.zones.using(using).count()
    polygons = dataset.zones.using(using).with_polygon().count()
    if (stored, polygons) != (len(prepared.zones), prepared.polygon_count):
        raise versions.VersionNotWhole(
            f"{stored} zones with {polygons} polygons arrived of {len(prepared.zones)} "
            f"with {prepared.polygon_count}."
        )
    dataset.zone_count, dataset.polygon_count = stored, polygons
    dataset.state = Dataset.State.READY
    dataset.built_at = dataset.verified_at = at
    dataset.expires_at = at + FRESH_FOR
    dataset.save(using=using)


def _report(
    dataset: Dataset, outcome: Outcome, *, generation: int | None, notes: tuple[str, ...]
) -> SeedReport:
    return SeedReport(
        outcome=outcome,
        version=dataset.version,
        source=dataset.source,
        is_sample=dataset.is_sample,
        zone_count=dataset.zone_count,
        polygon_count=dataset.polygon_count,
        expected_count=dataset.expected_count,
        generation=generation,
        notes=notes,
    )


def _remove_unfinished(using: str, program: Program) -> None:
    """Remove what a run began that died: nobody else is building while we hold the lock.

    A version that was whole but never answered (its run died before the switch) goes as well.
    """
    left = (
        Dataset.objects.using(using)
        .of_program(program)
        .filter(state__in=(Dataset.State.BUILDING, Dataset.State.READY))
    )
    for pk in left.values_list("pk", flat=True):
        versions.remove_version(pk=pk)


@contextmanager
def _alone(*, using: str, program: Program, at: dt.datetime) -> Iterator[None]:
    """Hold the lock of seeding for a program; the server lets it go when this process dies."""
    with direct_connection(using) as connection:
        pooler = connection.settings_dict.get("POLYSTORE", {}).get("pooler", False)
        if connection.vendor != "postgresql" or pooler:
            _refuse_while_leased(using, program, at)
        elif not _locked(connection, _LOCK + list(Program).index(program)):
            raise SeedingRuns("Another run is seeding the zones right now.")
        # The lock belongs to the session, which ends with this block or with this process.
        yield


def _locked(connection: BaseDatabaseWrapper, key: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        row = cursor.fetchone()
    return bool(row and row[0])


def _refuse_while_leased(using: str, program: Program, at: dt.datetime) -> None:
    """Do without a lock: a version whose heart beat a moment ago is being built."""
    if (
        Dataset.objects.using(using)
        .of_program(program)
        .unfinished()
        .filter(heartbeat_at__gt=at - _LEASE)
        .exists()
    ):
        raise SeedingRuns("Another run was seeding the zones within the last two minutes.")
