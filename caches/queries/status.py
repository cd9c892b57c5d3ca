"""How the zones stand: which version answers, how fresh and how whole it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import OperationalError, router

from caches.models import Activation, Dataset
from caches.queries.states import STATES


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
    last_update: dt.datetime
    verified_at: dt.datetime | None
    expires_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedingStatus:
    """A run that is writing a version now, or died while it did."""

    program: str
    done: int
    total: int
    started_at: dt.datetime
    heartbeat_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ZonesStatus:
    """Everything an operator asks first."""

    connected: bool
    versions: Sequence[VersionStatus] = ()
    seeding: Sequence[SeedingStatus] = ()


def zones_status(*, at: dt.datetime) -> ZonesStatus:
    """Return how the zones stand at the time `at`. A database that is down is told, not raised."""
    try:
        return _status(at)
    except OperationalError:
        return ZonesStatus(connected=False)


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
    building = Dataset.objects.using(using).unfinished().newest_first()
    return ZonesStatus(
        connected=True,
        versions=tuple(_version(pointer, at) for pointer in pointers),
        seeding=tuple(
            SeedingStatus(
                program=dataset.program,
                done=dataset.zone_count,
                total=dataset.expected_count,
                started_at=dataset.created_at,
                heartbeat_at=dataset.heartbeat_at,
            )
            for dataset in building
        ),
    )


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
        last_update=pointer.activated_at,
        verified_at=dataset.verified_at,
        expires_at=dataset.expires_at,
    )
