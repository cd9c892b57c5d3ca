"""Zones as GeoJSON: those that a map shows, and one by its tract id."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import shapely
from django.db import connections, router
from shapely.geometry import MultiPolygon, box
from shapely.geometry.base import BaseGeometry

from caches.models import Activation, Zone
from caches.queries.answers import Tract, Version
from caches.queries.geometry import halves
from caches.queries.index import Indexes, ZoneIndex, asked_of
from caches.queries.loading import version_of
from caches.queries.packing import unpack
from caches.queries.states import FULL_TURN, HALF_TURN
from common.errors import PolystoreError

WHOLE_DIGITS: Final = 7
FINEST_ZOOM: Final = 15
"""From here on borders are drawn with all their corners."""
MOST_ZONES: Final = 2000
TILE: Final = 256
"""Pixels that show the whole earth at zoom 0."""

Box = tuple[float, float, float, float]


class BoxRefused(PolystoreError):
    """What was sent is no box on the earth."""

    code, status, title = "caches.box_refused", 422, "The box is wrong"
    remedy = (
        "Send bbox=west,south,east,north in degrees. A box over the antimeridian has a west that "
        "is larger than its east."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A zone and its border, in memory or fresh from the database."""

    tract: Tract
    version: Version
    parts: Sequence[BaseGeometry]

    @property
    def key(self) -> tuple[str, str]:
        """What pages are ordered by."""
        return self.tract.geoid, self.version.program


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a map asks for."""

    boxes: Sequence[Box]
    as_of: dt.date
    program: str | None
    after: tuple[str, str] = ("", "")
    limit: int = MOST_ZONES


def checked_box(text: str) -> list[Box]:
    """Return the box, as two where it crosses the antimeridian.

    :raises BoxRefused: when these are not four numbers, or no box on the earth.
    """
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise BoxRefused("bbox is not four numbers.") from None
    if not all(map(math.isfinite, (west, south, east, north))):
        raise BoxRefused("bbox holds a number that is not finite.")
    if not -90 <= south <= north <= 90:
        raise BoxRefused("South and north are not in order within -90 and 90.")
    if not (-FULL_TURN <= west <= FULL_TURN and -FULL_TURN <= east <= FULL_TURN):
        raise BoxRefused("West and east are not within -360 and 360.")
    if east - west >= FULL_TURN:
        return [(-HALF_TURN, south, HALF_TURN, north)]
    west, east = _turned(west), _turned(east)
    if west <= east:
        return [(west, south, east, north)]
    return [(west, south, HALF_TURN, north), (-HALF_TURN, south, east, north)]


def _turned(lon: float) -> float:
    return lon if -HALF_TURN <= lon <= HALF_TURN else (lon + HALF_TURN) % FULL_TURN - HALF_TURN


# From memory ------------------------------------------------------------------------------------


def shapes_in_memory(indexes: Indexes, asked: Asked) -> list[Shape]:
    """Return the zones whose boxes touch the one that was asked for, one more than the limit."""
    found: dict[tuple[str, str], tuple[ZoneIndex, int]] = {}
    for index in asked_of(indexes, asked.as_of, asked.program):
        for entry in _entries(index, asked.boxes):
            if entry < len(index.zone_of):
                number = index.zone_of[entry]
                found[index.tracts[number].geoid, index.version.program] = (index, number)
    keys = sorted(key for key in found if key > asked.after)[: asked.limit + 1]
    return [_shape(*found[key]) for key in keys]


def shape_in_memory(indexes: Indexes, geoid: str, day: dt.date, program: str | None) -> list[Shape]:
    """Return the zone with this tract id, once per program that is asked for."""
    return [
        _shape(index, index.numbers[geoid])
        for index in asked_of(indexes, day, program)
        if geoid in index.numbers
    ]


def _entries(index: ZoneIndex, boxes: Iterable[Box]) -> set[int]:
    return {int(entry) for sides in boxes for entry in index.tree.query(box(*sides))}


def _shape(index: ZoneIndex, number: int) -> Shape:
    tract = index.tracts[number]
    return Shape(tract=tract, version=index.version, parts=index.parts_of(tract.geoid))


# From the database ------------------------------------------------------------------------------

_BOX: Final = "box(point(p.min_lon, p.min_lat), point(p.max_lon, p.max_lat))"
_TOUCHES: Final = f"{_BOX} && box(point(%(west)s, %(south)s), point(%(east)s, %(north)s))"
_TOUCHES_SIDES: Final = (
    "p.min_lon <= %(east)s AND p.max_lon >= %(west)s "
    "AND p.min_lat <= %(north)s AND p.max_lat >= %(south)s"
)
_STATEMENT: Final = """
SELECT DISTINCT z.id, z.geoid, z.program
FROM caches_activation a
JOIN caches_dataset d ON d.id = a.dataset_id
JOIN caches_zone z ON z.program = a.program AND z.since <= d.sequence
  AND (z.until IS NULL OR z.until > d.sequence)
JOIN caches_zonepart p ON p.zone_id = z.id
WHERE {touches} AND d.effective_from <= %(as_of)s AND d.effective_to >= %(as_of)s
  AND (%(program)s::text IS NULL OR a.program = %(program)s)
  AND (z.geoid, z.program) > (%(geoid)s, %(after)s)
ORDER BY z.geoid, z.program
LIMIT %(limit)s
"""


def shapes_in_database(asked: Asked) -> list[Shape]:
    """Return what `shapes_in_memory` does, from the database.

    :raises django.db.OperationalError: when it does not answer.
    """
    connection = connections[router.db_for_read(Zone)]
    touches = _TOUCHES if connection.vendor == "postgresql" else _TOUCHES_SIDES
    keys: set[Any] = set()
    with connection.cursor() as cursor:
        for west, south, east, north in asked.boxes:
            cursor.execute(
                _STATEMENT.format(touches=touches),
                {
                    "west": west,
                    "south": south,
                    "east": east,
                    "north": north,
                    "as_of": asked.as_of,
                    "program": asked.program,
                    "geoid": asked.after[0],
                    "after": asked.after[1],
                    "limit": asked.limit + 1,
                },
            )
            keys.update(pk for pk, *_ in cursor.fetchall())
    found = _shapes(Zone.objects.filter(pk__in=keys))
    return sorted(found, key=lambda shape: shape.key)[: asked.limit + 1]


def shape_in_database(geoid: str, day: dt.date, program: str | None) -> list[Shape]:
    """Return what `shape_in_memory` does, from the database.

    :raises django.db.OperationalError: when it does not answer.
    """
    found: list[Shape] = []
    pointers = Activation.objects.select_related("dataset").order_by("program")
    for pointer in pointers:
        if version_of(pointer).in_force(day) and program in (None, pointer.program):
            found += _shapes(Zone.objects.in_version(pointer.dataset).filter(geoid=geoid))
    return found


def _shapes(rows: Any) -> list[Shape]:
    pointers = Activation.objects.select_related("dataset")
    versions = {pointer.program: version_of(pointer) for pointer in pointers}
    return [
        Shape(
            tract=Tract(zone.geoid, zone.state, zone.county, zone.tract_type),
            version=versions[zone.program],
            parts=() if zone.geom is None else halves(unpack(bytes(zone.geom))),
        )
        for zone in rows
        if zone.program in versions
    ]


# As GeoJSON -------------------------------------------------------------------------------------


def drawn(shapes: Sequence[Shape], *, zoom: float | None) -> list[str]:
    """Return each zone as a GeoJSON feature, with as many corners as that zoom shows."""
    with_border = [shape for shape in shapes if shape.parts]
    geometries = iter(_drawn([_whole(shape.parts) for shape in with_border], zoom))
    return [
        f'{{"type": "Feature", "id": {json.dumps(shape.tract.geoid)}, '
        f'"properties": {json.dumps(_properties(shape))}, '
        f'"geometry": {next(geometries) if shape.parts else "null"}}}'
        for shape in shapes
    ]


def _properties(shape: Shape) -> dict[str, object]:
    tract, version = shape.tract, shape.version
    return {
        "tract": tract.geoid,
        "state": tract.state,
        "county": tract.county,
        "tractType": tract.tract_type,
        "program": version.program,
        "dataset": version.name,
        "resolution": version.resolution,
        "sample": version.is_sample,
    }


def _whole(parts: Sequence[BaseGeometry]) -> BaseGeometry:
    if len(parts) == 1:
        return parts[0]
    return MultiPolygon([polygon for part in parts for polygon in shapely.get_parts(part)])


def _drawn(geometries: Sequence[BaseGeometry], zoom: float | None) -> Iterable[str]:
    """Return GeoJSON geometries. Shared ones are only read: the copies are simplified."""
    if not geometries:
        return ()
    pixel = 0.0 if zoom is None or zoom >= FINEST_ZOOM else FULL_TURN / (TILE * 2**zoom)
    digits = WHOLE_DIGITS if not pixel else min(WHOLE_DIGITS, math.ceil(-math.log10(pixel)) + 1)
    copies = shapely.transform(np.array(geometries, dtype=object), np.copy)
    if pixel:
        copies = shapely.simplify(copies, pixel / 2, preserve_topology=True)
    rounded = shapely.transform(copies, lambda xy: np.round(xy, digits))
    texts: Iterable[str] = shapely.to_geojson(rounded)
    return texts
