"""Is this point in an opportunity zone? Asked of the database.

Everything comes in one statement, so that an answer is of one version even while another is being
activated or the old one removed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

from django.db import connections, router

from caches.models import Miss, Zone, version_name
from caches.queries.answers import (
    Answer,
    Finding,
    Result,
    Tract,
    Version,
    conclude,
    longitudes,
    match,
)
from caches.queries.geometry import holds
from caches.queries.packing import unpack
from caches.queries.points import Point
from databases.prepared import fetch_all

__all__ = ["Answer", "Result", "look_up", "statement"]

APP: Final = "caches"
_BOX: Final = "box(point(min_lon, min_lat), point(max_lon, max_lat))"
# `box @> point` cannot use the index; a box of one point can.
_IN_BOX: Final = f"{_BOX} @> box(point(%(lon)s, %(lat)s), point(%(lon)s, %(lat)s))"
_IN_SIDES: Final = (
    "min_lon <= %(lon)s AND max_lon >= %(lon)s AND min_lat <= %(lat)s AND max_lat >= %(lat)s"
)
_STATEMENT: Final = """
SELECT a.program, a.generation, d.vintage, d.content_sha256, d.resolution, d.miss, d.is_sample,
       d.effective_from, d.effective_to, d.id,
       found.kind, found.geoid, found.state, found.county, found.tract_type, found.geom
FROM caches_activation a
JOIN caches_dataset d ON d.id = a.dataset_id
LEFT JOIN LATERAL (
    SELECT 'zone' AS kind, z.geoid, z.state, z.county, z.tract_type,
           COALESCE(p.geom, z.geom) AS geom
    FROM caches_zonepart p JOIN caches_zone z ON z.id = p.zone_id
    WHERE {zone_box} AND z.program = a.program AND z.since <= d.sequence
      AND (z.until IS NULL OR z.until > d.sequence)
    UNION ALL
    SELECT c.miss, '', '', '', '', c.geom FROM caches_coveragearea c
    WHERE {area_box} AND c.program = a.program AND c.since <= d.sequence
      AND (c.until IS NULL OR c.until > d.sequence)
) found ON true
WHERE d.effective_from <= %(as_of)s AND d.effective_to >= %(as_of)s
  AND (%(program)s::text IS NULL OR a.program = %(program)s)
ORDER BY a.program, found.geoid
"""


def look_up(point: Point, as_of: dt.date, program: str | None = None) -> Answer:
    """Return whether `point` lies in a zone that is in force on the day `as_of`.

    :param program: look at one program only; None looks at all that are in force on that day.
    :raises django.db.OperationalError: when the database does not answer.
    """
    findings: dict[str, Finding] = {}
    for row in _rows(point, as_of, program):
        finding = findings.setdefault(row[0], Finding(_version(row), {}, []))
        kind, wkb = row[10], row[15]
        if kind is not None:
            _note(finding, kind, Tract(*row[11:15]), bytes(wkb), point)
    return conclude(point, as_of, list(findings.values()))


def _rows(point: Point, as_of: dt.date, program: str | None) -> Iterable[tuple[Any, ...]]:
    asking = statement(vendor=connections[router.db_for_read(Zone)].vendor)
    rows: list[tuple[Any, ...]] = []
    for lon in longitudes(point.lon):
        asked = {"lon": lon, "lat": point.lat, "as_of": as_of, "program": program}
        # Planning takes five times as long as the answer.
        rows += fetch_all(APP, asking, asked)
    return rows


@cache
def statement(*, vendor: str) -> str:
    """Return the one statement of a look-up: by index over boxes, or by the four sides."""
    inside = _IN_BOX if vendor == "postgresql" else _IN_SIDES
    return _STATEMENT.format(zone_box=_of(inside, "p"), area_box=_of(inside, "c"))


def _of(condition: str, table: str) -> str:
    for side in ("min_lon", "min_lat", "max_lon", "max_lat"):
        condition = condition.replace(side, f"{table}.{side}")
    return condition


def _version(row: Sequence[Any]) -> Version:
    return Version(
        program=row[0],
        generation=row[1],
        name=version_name(program=row[0], vintage=row[2], content_sha256=row[3]),
        resolution=row[4],
        miss=Miss(row[5]),
        is_sample=row[6],
        effective_from=row[7],
        effective_to=row[8],
        dataset_id=row[9],
    )


def _note(finding: Finding, kind: str, tract: Tract, packed: bytes, point: Point) -> None:
    """Note a zone or an area if it holds the point."""
    geometry = unpack(packed)
    for lon in longitudes(point.lon):
        if not holds(geometry, lon=lon, lat=point.lat):
            continue
        if kind != "zone":
            finding.areas.append(Miss(kind))
        else:
            finding.add(match(tract, finding.version, geometry, lon=lon, lat=point.lat))
        return
