"""Seeding: write what a new version changes beside the one that answers, then move the pointer.

Whoever dies on the way leaves the old version answering; the next run removes what was begun.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from django.db import router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from caches.models import Dataset, Program, Zone
from caches.services import feature_service, versions, writing
from caches.services.preparing import PreparedSet, PreparedZone, fingerprint, prepare
from caches.services.programs import PROGRAMS
from caches.services.sources import is_shipped_sample, read_source
from common.errors import PolystoreError
from databases.migration.connect import direct_connection

FRESH_FOR: Final = dt.timedelta(days=90)
"""After this time without a look at the source the data counts as stale."""
SMALLEST_SHARE: Final = 0.995
"""A new version with a smaller share of the old one's zones or polygons is refused."""
MOVED_SHARE: Final = 0.10
"""A zone whose area changes by more has moved."""
MOVED_ZONES, MOVED_ZONES_SHARE = 10, 0.01
"""More moved zones than either are refused."""
DRIFT_SHARE: Final = 0.10
"""So is a larger change of all areas together. From 1:500,000 to full detail it is about 1 %."""
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


class BordersMoved(PolystoreError):
    """Many zones have clearly another area than in the version that answers."""

    code, status, title = "caches.borders_moved", 409, "The borders of many zones moved"
    remedy = "Check the source; seed with --force when the new borders are meant."


class Outcome(StrEnum):
    """How a run ended."""

    SEEDED = "seeded"
    UNCHANGED = "unchanged"


class Progress:
    """Told about a run; the command shows it."""

    def stage(self, name: str) -> None:
        """Say what is being done now."""

    def wrote(self, done: int, total: int) -> None:
        """Say how many zones are written of those that change."""

    def fetched(self, done: int, total: int) -> None:
        """Say how many features of a service are fetched."""

    def stored(self, by_state: Mapping[str, tuple[int, int]]) -> None:
        """Say how many zones of each state (FIPS code) are stored, and of how many."""


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
    rows_written: int = 0
    """Zones and areas that were written or closed."""
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
    with alone(program=program, at=at):
        return seed_alone(
            location=location,
            at=at,
            program=program,
            force=force,
            allow_private=allow_private,
            progress=progress,
        )


def seed_alone(
    *,
    location: str,
    at: dt.datetime,
    program: Program,
    force: bool = False,
    allow_private: bool = False,
    progress: Progress | None = None,
) -> SeedReport:
    """Do what `seed` does, for a caller who holds the lock of seeding (`alone`)."""
    told = progress or Progress()
    using = router.db_for_write(Dataset)
    active = Dataset.objects.using(using).of_program(program).active().first()
    versions.remove_unfinished(program=program)
    if active is not None and not force and _is_step_back_to_sample(active, location):
        return _unchanged(active, at=None, notes=("the sample does not replace real zones",))
    source = read_source(
        location, allow_private=allow_private, announce=told.stage, fetched=told.fetched
    )
    if active is not None and not force and active.source_sha256 == fingerprint(source):
        return _unchanged(active, at=at, pages_key=source.pages_key)
    prepared = prepare(source, program=program, force=force, announce=told.stage)
    if active is not None and not force:
        if active.content_sha256 == prepared.content_sha256:
            return _unchanged(
                active, at=at, source_sha256=prepared.source_sha256, pages_key=source.pages_key
            )
        _refuse_shrunken(active, prepared)
        _refuse_moved(active, prepared, using)
    report = _write(prepared, using=using, at=at, progress=told)
    feature_service.forget(source.pages_key)
    return report


def _is_step_back_to_sample(active: Dataset, location: str) -> bool:
    return not active.is_sample and is_shipped_sample(location)


def _unchanged(
    active: Dataset,
    *,
    at: dt.datetime | None,
    source_sha256: str = "",
    notes: tuple[str, ...] = (),
    pages_key: str = "",
) -> SeedReport:
    """Note on the version that its source was seen to say the same. No zone row is written."""
    if pages_key:
        feature_service.forget(pages_key)
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


def _refuse_moved(active: Dataset, prepared: PreparedSet, using: str) -> None:
    """Compare the areas of the zones that both versions know the border of."""
    if active.is_sample:
        return
    before = dict(
        Zone.objects.using(using)
        .in_version(active)
        .filter(area_km2__gt=0)
        .values_list("geoid", "area_km2")
    )
    pairs = [
        (before[zone.designation.geoid], zone.area_km2)
        for zone in prepared.zones
        if zone.area_km2 is not None and zone.designation.geoid in before
    ]
    moved = sum(abs(new - old) > old * MOVED_SHARE for old, new in pairs)
    total = sum(old for old, _ in pairs)
    drift = abs(sum(new - old for old, new in pairs)) / total if total else 0.0
    if moved > max(MOVED_ZONES, len(pairs) * MOVED_ZONES_SHARE) or drift > DRIFT_SHARE:
        raise BordersMoved(
            f"{moved} of {len(pairs)} zones changed their area by more than {MOVED_SHARE:.0%}; "
            f"all together by {drift:.1%}."
        )


def _write(prepared: PreparedSet, *, using: str, at: dt.datetime, progress: Progress) -> SeedReport:
    progress.stage("comparing")
    changed = writing.changes(prepared, using=using)
    progress.stage("writing")
    dataset = _begin(prepared, using=using, at=at)
    told = _Told(prepared, changed, progress)
    for batch in writing.write_zones(dataset=dataset, zones=changed.zones, using=using):
        told.batch(batch)
        _beat(dataset, using, done=told.done)
    writing.write_areas(dataset=dataset, areas=changed.areas, using=using)
    if changed.zones or changed.areas:
        writing.analyse(using=using)
    progress.stage("switching")
    with transaction.atomic(using=using):
        writing.close(dataset=dataset, changed=changed, using=using)
        _finish(dataset, prepared, using=using, at=at)
        pointer = versions.activate(dataset=dataset, at=at)
    versions.remove_old_versions(program=prepared.program)
    return _report(
        dataset,
        Outcome.SEEDED,
        generation=pointer.generation,
        rows_written=changed.rows,
        notes=tuple(prepared.notes),
    )


class _Told:
    """Counts what is stored, by state, and tells."""

    def __init__(self, prepared: PreparedSet, changed: writing.Changes, progress: Progress) -> None:
        self._progress = progress
        self._changed = len(changed.zones)
        self._kept = len(prepared.zones) - self._changed
        self._written = 0
        of_all = Counter(zone.designation.geoid[:2] for zone in prepared.zones)
        of_changed = Counter(zone.designation.geoid[:2] for zone in changed.zones)
        self._of_all, self._stored = of_all, of_all - of_changed
        self._tell()

    @property
    def done(self) -> int:
        """How many zones of the version are stored."""
        return self._kept + self._written

    def batch(self, zones: Sequence[PreparedZone]) -> None:
        """Count zones that were just stored."""
        self._written += len(zones)
        self._stored.update(zone.designation.geoid[:2] for zone in zones)
        self._progress.wrote(self._written, self._changed)
        self._tell()

    def _tell(self) -> None:
        self._progress.stored(
            {fips: (self._stored[fips], total) for fips, total in sorted(self._of_all.items())}
        )


def _begin(prepared: PreparedSet, *, using: str, at: dt.datetime) -> Dataset:
    facts = PROGRAMS[prepared.program]
    return Dataset.objects.using(using).create(
        program=prepared.program,
        sequence=versions.next_sequence(program=prepared.program, using=using),
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


def _beat(dataset: Dataset, using: str, *, done: int) -> None:
    Dataset.objects.using(using).filter(pk=dataset.pk).update(
        zone_count=done, heartbeat_at=timezone.now()
    )


def _finish(dataset: Dataset, prepared: PreparedSet, *, using: str, at: dt.datetime) -> None:
    """Mark the version as whole, after counting what really lies in the database."""
    stored = Zone.objects.using(using).in_version(dataset)
    counted = (stored.count(), stored.with_polygon().count())
    if counted != (len(prepared.zones), prepared.polygon_count):
        raise versions.VersionNotWhole(
            f"{counted[0]} zones with {counted[1]} polygons arrived of {len(prepared.zones)} "
            f"with {prepared.polygon_count}."
        )
    dataset.zone_count, dataset.polygon_count = counted
    dataset.state = Dataset.State.READY
    dataset.built_at = dataset.verified_at = at
    dataset.expires_at = at + FRESH_FOR
    dataset.save(using=using)


def _report(
    dataset: Dataset,
    outcome: Outcome,
    *,
    generation: int | None,
    notes: tuple[str, ...],
    rows_written: int = 0,
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
        rows_written=rows_written,
        notes=notes,
    )


@contextmanager
def alone(*, program: Program, at: dt.datetime) -> Iterator[None]:
    """Hold the lock of seeding for a program; the server lets it go when this process dies.

    :raises SeedingRuns: when another process holds it.
    """
    using = router.db_for_write(Dataset)
    with direct_connection(using) as connection:
        if not _has_locks(connection):
            _refuse_while_leased(using, program, at)
        elif not _locked(connection, _key(program)):
            raise SeedingRuns("Another run is seeding the zones right now.")
        # The lock belongs to the session, which ends with this block or with this process.
        yield


def somebody_is_at_it(program: Program) -> bool | None:
    """Tell whether a process holds the lock of seeding; None where there are no such locks."""
    with direct_connection(router.db_for_write(Dataset)) as connection:
        if not _has_locks(connection):
            return None
        with connection.cursor() as cursor:
            # Looked at, not taken: a run that begins at this moment must not find it taken.
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
                " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
                " AND l.classid::bigint << 32 | l.objid::bigint = %s"
                " AND d.datname = current_database())",
                [_key(program)],
            )
            row = cursor.fetchone()
    return bool(row and row[0])


def _key(program: Program) -> int:
    return _LOCK + list(Program).index(program)


def _has_locks(connection: BaseDatabaseWrapper) -> bool:
    pooler = connection.settings_dict.get("POLYSTORE", {}).get("pooler", False)
    return connection.vendor == "postgresql" and not pooler


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
