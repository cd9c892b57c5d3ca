"""How the zones stand: which version answers, how fresh and how whole it is."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.db import OperationalError, router
from django.db.models import Count, Q

from caches import stores
from caches.models import Activation, Dataset, Run, Zone
from caches.queries.states import STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """How many of a state's zones are stored."""

    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How many zones a state has, and of how many the border is known."""

    designated: int
    polygons: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionStatus:
    """The version that answers for one program."""

    program: str
    dataset: str
    generation: int
    vintage: int
    resolution: str
    source: str
    sample: bool
    effective_from: dt.date
    effective_to: dt.date
    fresh: bool
    complete: bool
    feature_count: int
    polygon_count: int
    expected_count: int
    missing_by_state: Mapping[str, int]
    coverage: Mapping[str, Coverage]
    """State → its zones."""
    last_update: dt.datetime
    verified_at: dt.datetime | None
    expires_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedingStatus:
    """A run: one that is under way, or the last one that ended."""

    id: uuid.UUID
    program: str
    origin: str
    state: str
    stage: str
    done: int
    total: int
    states: Mapping[str, Progressed]
    """State → how far it is."""
    started_at: dt.datetime | None
    heartbeat_at: dt.datetime | None
    ended_at: dt.datetime | None
    rows_written: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ZonesStatus:
    """Everything an operator asks first."""

    connected: bool
    versions: Sequence[VersionStatus] = ()
    seeding: Sequence[SeedingStatus] = ()
    last_run: SeedingStatus | None = None
    workers: Sequence[stores.WorkerIndex] | None = None
    """The index in memory of each process; None where only the own one is known."""


def zones_status(*, at: dt.datetime) -> ZonesStatus:
    """Return how the zones stand at the time `at`. A database that is down is told, not raised."""
    workers = stores.published()
    try:
        return replace(_status(at), workers=workers or None)
    except OperationalError:
        return ZonesStatus(connected=False, workers=workers or None)


def findings(*, at: dt.datetime) -> list[str]:
    """Return one sentence for each thing that is wrong: empty, stale, incomplete, a sample.

    :raises django.db.OperationalError: when the database does not answer.
    """
    status = _status(at)
    if not status.versions:
        return ["empty: no zones have been seeded."]
    return [
        f"{version.program} ({version.dataset}) is {fault}"
        for version in status.versions
        for fault in _faults(version)
    ]


def _faults(version: VersionStatus) -> list[str]:
    faults = []
    if version.sample:
        faults.append("incomplete: it is the sample, not the real zones.")
    if not version.fresh and version.expires_at is not None:
        faults.append(f"stale: it expired on {version.expires_at:%Y-%m-%d}.")
    if version.feature_count < version.expected_count:
        faults.append(
            f"incomplete: it holds {version.feature_count:,} zones of "
            f"{version.expected_count:,} designated."
        )
    if not version.sample and version.missing_by_state:
        states = ", ".join(f"{name} {n}" for name, n in version.missing_by_state.items())
        missing = sum(version.missing_by_state.values())
        faults.append(
            f"incomplete: {missing:,} of {version.feature_count:,} zones have no polygon "
            f"({states})."
        )
    return faults


def _status(at: dt.datetime) -> ZonesStatus:
    using = router.db_for_read(Dataset)
    pointers = Activation.objects.using(using).select_related("dataset").order_by("program")
    runs = Run.objects.using(using)
    last = runs.filter(slot=None).order_by("-id").first()
    return ZonesStatus(
        connected=True,
        versions=tuple(_version(pointer, at) for pointer in pointers),
        seeding=tuple(_run(run) for run in runs.filter(slot=1).order_by("program")),
        last_run=None if last is None else _run(last),
    )


def _run(run: Run) -> SeedingStatus:
    return SeedingStatus(
        id=run.pk,
        program=run.program,
        origin=run.origin,
        state=run.state,
        stage=run.stage,
        done=run.done,
        total=run.total,
        states={
            STATES[fips].name: Progressed(done=done, total=total)
            for fips, (done, total) in run.states.items()
        },
        started_at=run.started_at,
        heartbeat_at=run.heartbeat_at,
        ended_at=run.ended_at,
        rows_written=run.rows_written,
        error=run.error,
    )


def coverage_of(dataset: Dataset) -> Mapping[str, Coverage]:
    """Return the zones of each state in a version, and of how many the border is known."""
    rows = (
        Zone.objects.using(router.db_for_read(Zone))
        .in_version(dataset)
        .values("state_fips")
        .annotate(designated=Count("pk"), polygons=Count("pk", filter=Q(geom__isnull=False)))
        .order_by("state_fips")
    )
    return {
        STATES[row["state_fips"]].name: Coverage(
            designated=row["designated"], polygons=row["polygons"]
        )
        for row in rows
    }


def _version(pointer: Activation, at: dt.datetime) -> VersionStatus:
    dataset = pointer.dataset
    missing = {STATES[fips].name: n for fips, n in dataset.missing_by_state.items()}
    return VersionStatus(
        program=pointer.program,
        dataset=dataset.version,
        generation=pointer.generation,
        vintage=dataset.vintage,
        resolution=dataset.resolution,
        source=dataset.source,
        sample=dataset.is_sample,
        effective_from=dataset.effective_from,
        effective_to=dataset.effective_to,
        fresh=dataset.expires_at is not None and at < dataset.expires_at,
        complete=dataset.is_complete and not dataset.is_sample,
        feature_count=dataset.zone_count,
        polygon_count=dataset.polygon_count,
        expected_count=dataset.expected_count,
        missing_by_state=missing,
        coverage=coverage_of(dataset),
        last_update=pointer.activated_at,
        verified_at=dataset.verified_at,
        expires_at=dataset.expires_at,
    )
