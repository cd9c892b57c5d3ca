"""Writing what a version changes: COPY where the database has it, else bulk inserts.

New rows begin with the version that is being built, and nobody sees them before the pointer moves
to it; rows that it no longer holds are closed at the switch, in its transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connections, models, transaction

from caches.models import CoverageArea, Dataset, Zone, ZonePart
from caches.services.preparing import PreparedArea, PreparedSet, PreparedZone

BATCH: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """How a prepared set differs from the newest version that is stored."""

    zones: Sequence[PreparedZone]
    """New ones and changed ones."""
    areas: Sequence[PreparedArea]
    gone_zones: Sequence[uuid.UUID]
    """Rows that the new version does not hold any more."""
    gone_areas: Sequence[uuid.UUID]

    @property
    def rows(self) -> int:
        """How many rows are written or closed."""
        return sum(map(len, (self.zones, self.areas, self.gone_zones, self.gone_areas)))


def changes(prepared: PreparedSet, *, using: str) -> Changes:
    """Compare a prepared set with the newest version, by content."""
    stored_zones = {
        (geoid, content): pk
        for pk, geoid, content in Zone.objects.using(using)
        .newest(prepared.program)
        .values_list("pk", "geoid", "content_hash")
    }
    stored_areas = {
        content: pk
        for pk, content in CoverageArea.objects.using(using)
        .newest(prepared.program)
        .values_list("pk", "content_hash")
    }
    zones = {(zone.designation.geoid, zone.content_hash): zone for zone in prepared.zones}
    areas = {area.content_hash: area for area in prepared.areas}
    return Changes(
        zones=[zone for key, zone in zones.items() if key not in stored_zones],
        areas=[area for key, area in areas.items() if key not in stored_areas],
        gone_zones=[pk for key, pk in stored_zones.items() if key not in zones],
        gone_areas=[pk for key, pk in stored_areas.items() if key not in areas],
    )


def write_zones(
    *, dataset: Dataset, zones: Sequence[PreparedZone], using: str
) -> Iterator[Sequence[PreparedZone]]:
    """Write zones with their parts in batches, and yield each batch once it is stored."""
    for start in range(0, len(zones), BATCH):
        batch = zones[start : start + BATCH]
        rows = [_zone(dataset, zone) for zone in batch]
        parts = [part for row, zone in zip(rows, batch, strict=True) for part in _parts(row, zone)]
        with transaction.atomic(using=using):
            _insert(Zone, rows, using)
            _insert(ZonePart, parts, using)
        yield batch


def write_areas(*, dataset: Dataset, areas: Sequence[PreparedArea], using: str) -> None:
    """Write coverage areas."""
    rows = [
        CoverageArea(
            program=dataset.program,
            since=dataset.sequence,
            miss=area.miss,
            state_fips=area.state_fips,
            basis=area.basis,
            geom=area.packed,
            content_hash=area.content_hash,
            **_sides(area.bounds),
        )
        for area in areas
    ]
    for start in range(0, len(rows), BATCH):
        _insert(CoverageArea, rows[start : start + BATCH], using)


def close(*, dataset: Dataset, changed: Changes, using: str) -> None:
    """End the ranges of what the version does not hold; to be called in the switch."""
    for model, gone in ((Zone, changed.gone_zones), (CoverageArea, changed.gone_areas)):
        rows = model._default_manager.using(using)
        for start in range(0, len(gone), BATCH):
            rows.filter(pk__in=gone[start : start + BATCH]).update(until=dataset.sequence)


def analyse(*, using: str) -> None:
    """Refresh the planner's figures, so that the first look-ups after a load use the indexes."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        for model in (Zone, ZonePart, CoverageArea):
            cursor.execute(f"ANALYZE {connection.ops.quote_name(model._meta.db_table)}")


def _zone(dataset: Dataset, zone: PreparedZone) -> Zone:
    told = zone.designation
    return Zone(
        program=dataset.program,
        since=dataset.sequence,
        geoid=told.geoid,
        state_fips=told.geoid[:2],
        state=told.state,
        county=told.county,
        tract_type=told.tract_type,
        geom=zone.packed,
        area_km2=zone.area_km2,
        content_hash=zone.content_hash,
    )


def _parts(row: Zone, zone: PreparedZone) -> Iterator[ZonePart]:
    for number, part in enumerate(zone.parts):
        yield ZonePart(zone=row, part=number, geom=part.packed, **_sides(part.bounds))


def _sides(bounds: tuple[float, float, float, float]) -> dict[str, float]:
    return dict(zip(("min_lon", "min_lat", "max_lon", "max_lat"), bounds, strict=True))


def _insert(model: type[models.Model], rows: Sequence[models.Model], using: str) -> None:
    connection = connections[using]
    if connection.vendor != "postgresql":
        model._default_manager.using(using).bulk_create(rows, batch_size=100)
        return
    columns = [field for field in model._meta.concrete_fields if not field.has_db_default()]
    names = ", ".join(connection.ops.quote_name(str(field.column)) for field in columns)
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(_values(row, columns))


def _values(row: models.Model, columns: Sequence[models.Field[Any, Any]]) -> list[Any]:
    return [getattr(row, field.attname) for field in columns]
