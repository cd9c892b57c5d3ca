"""Writing the rows of a version: COPY where the database has it, else bulk inserts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.db import connections, models, transaction

from caches.models import CoverageArea, Dataset, Zone, ZonePart
from caches.services.preparing import PreparedArea, PreparedZone

BATCH: Final = 1000


def write_zones(*, dataset: Dataset, zones: Sequence[PreparedZone], using: str) -> Iterator[int]:
    """Write zones with their parts in batches, and yield how many are written after each."""
    for start in range(0, len(zones), BATCH):
        batch = zones[start : start + BATCH]
        rows = [_zone(dataset, zone) for zone in batch]
        parts = [
            part
            for row, zone in zip(rows, batch, strict=True)
            for part in _parts(dataset, row, zone)
        ]
        with transaction.atomic(using=using):
            _insert(Zone, rows, using)
            _insert(ZonePart, parts, using)
        yield start + len(batch)


def write_areas(*, dataset: Dataset, areas: Sequence[PreparedArea], using: str) -> None:
    """Write the coverage areas of a version."""
    rows = [
        CoverageArea(
            dataset=dataset,
            miss=area.miss,
            state_fips=area.state_fips,
            basis=area.basis,
            geom=area.wkb,
            **_sides(area.bounds),
        )
        for area in areas
    ]
    for start in range(0, len(rows), BATCH):
        _insert(CoverageArea, rows[start : start + BATCH], using)


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
        dataset=dataset,
        geoid=told.geoid,
        state_fips=told.geoid[:2],
        state=told.state,
        county=told.county,
        tract_type=told.tract_type,
        geom=zone.wkb,
        content_hash=zone.content_hash,
    )


def _parts(dataset: Dataset, row: Zone, zone: PreparedZone) -> Iterator[ZonePart]:
    for number, part in enumerate(zone.parts):
        yield ZonePart(dataset=dataset, zone=row, part=number, geom=part.wkb, **_sides(part.bounds))


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
