"""Is this point in an opportunity zone: yes, no or unknown.

Asks the database. Everything comes in one statement, so that an answer is of one version even
while another is being activated or the old one removed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import shapely
from django.db import connections, router
from shapely.geometry.base import BaseGeometry

from caches.models import Miss, Zone, version_name
from caches.queries.geometry import holds, metres_to_border
from caches.queries.points import Point
from caches.queries.states import HALF_TURN, near_the_states


class Result(StrEnum):
    """The three answers. Unknown: a zone may be there whose border is not known."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A zone that holds the point; a point on a border may lie in several."""

    tract: str
    state: str
    county: str
    tract_type: str
    program: str
    dataset: str
    on_border: bool
    distance_to_border_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is known about a point on a day."""

    result: Result
    tract: str | None
    """The smallest id among the matches."""
    matches: tuple[Match, ...]
    program: str | None
    """Of the match, or the programs that were looked at; None where there are no zones yet."""
    dataset: str | None
    resolution: str | None
    as_of: dt.date
    sample: bool
    distance_to_border_m: float | None
    generation: int | None = None


Lookup = Callable[[Point, dt.date, str | None], Answer]
"""How a look-up is done; another way (an index in memory) has to answer alike."""

ON_BORDER_M: Final = 0.05
"""Nearer than this a point counts as lying on the border; coordinates have rounding."""

_BOX: Final = "box(point(min_lon, min_lat), point(max_lon, max_lat))"
# `box @> point` cannot use the index; a box of one point can.
_IN_BOX: Final = f"{_BOX} @> box(point(%(lon)s, %(lat)s), point(%(lon)s, %(lat)s))"
_IN_SIDES: Final = (
    "min_lon <= %(lon)s AND max_lon >= %(lon)s AND min_lat <= %(lat)s AND max_lat >= %(lat)s"
)
_STATEMENT: Final = """
SELECT a.program, a.generation, d.vintage, d.content_sha256, d.resolution, d.miss, d.is_sample,
       found.kind, found.geoid, found.state, found.county, found.tract_type, found.geom
FROM caches_activation a
JOIN caches_dataset d ON d.id = a.dataset_id
LEFT JOIN LATERAL (
    SELECT 'zone' AS kind, z.geoid, z.state, z.county, z.tract_type,
           COALESCE(p.geom, z.geom) AS geom
    FROM caches_zonepart p JOIN caches_zone z ON z.id = p.zone_id
    WHERE p.dataset_id = a.dataset_id AND {zone_box}
    UNION ALL
    SELECT c.miss, '', '', '', '', c.geom FROM caches_coveragearea c
    WHERE c.dataset_id = a.dataset_id AND {area_box}
) found ON true
WHERE d.effective_from <= %(as_of)s AND d.effective_to >= %(as_of)s
  AND (%(program)s::text IS NULL OR a.program = %(program)s)
ORDER BY a.program, found.geoid
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """The version that answers for a program, as the statement's rows tell it."""

    program: str
    generation: int
    name: str
    resolution: str
    miss: Miss
    is_sample: bool


def look_up(point: Point, as_of: dt.date, program: str | None = None) -> Answer:
    """Return whether `point` lies in a zone that is in force on the day `as_of`.

    :param program: look at one program only; None looks at all that are in force on that day.
    :raises django.db.OperationalError: when the database does not answer.
    """
    versions: dict[str, _Version] = {}
    matches: dict[tuple[str, str], Match] = {}
    areas: dict[str, list[Miss]] = {}
    for row in _rows(point, as_of, program):
        version = versions.setdefault(row[0], _version(row))
        kind, geoid, wkb = row[7], row[8], row[12]
        if kind is None:
            continue
        touch = _touched(bytes(wkb), point)
        if touch is None:
            continue
        if kind == "zone":
            matches.setdefault((geoid, version.program), _match(row, version, touch))
        else:
            areas.setdefault(version.program, []).append(Miss(kind))
    if matches:
        return _yes([matches[key] for key in sorted(matches)], versions, as_of)
    return _miss(point, list(versions.values()), areas, as_of)


def _rows(point: Point, as_of: dt.date, program: str | None) -> Iterable[tuple[Any, ...]]:
    connection = connections[router.db_for_read(Zone)]
    asking = statement(vendor=connection.vendor)
    rows: list[tuple[Any, ...]] = []
    # 180 and -180 are the same meridian, and a zone may end on it from either side.
    sides = {point.lon, -point.lon} if abs(point.lon) == HALF_TURN else {point.lon}
    with connection.cursor() as cursor:
        for lon in sorted(sides):
            cursor.execute(
                asking, {"lon": lon, "lat": point.lat, "as_of": as_of, "program": program}
            )
            rows += cursor.fetchall()
    return rows


def statement(*, vendor: str) -> str:
    """Return the one statement of a look-up: by index over boxes, or by the four sides."""
    inside = _IN_BOX if vendor == "postgresql" else _IN_SIDES
    return _STATEMENT.format(zone_box=_of(inside, "p"), area_box=_of(inside, "c"))


def _of(condition: str, table: str) -> str:
    for side in ("min_lon", "min_lat", "max_lon", "max_lat"):
        condition = condition.replace(side, f"{table}.{side}")
    return condition


def _version(row: Sequence[Any]) -> _Version:
    return _Version(
        program=row[0],
        generation=row[1],
        name=version_name(program=row[0], vintage=row[2], content_sha256=row[3]),
        resolution=row[4],
        miss=Miss(row[5]),
        is_sample=row[6],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Touch:
    geometry: BaseGeometry
    lon: float
    lat: float


def _touched(wkb: bytes, point: Point) -> _Touch | None:
    """Return the geometry, made afresh for this call, if it holds the point."""
    geometry = shapely.from_wkb(wkb)
    sides = (point.lon, -point.lon) if abs(point.lon) == HALF_TURN else (point.lon,)
    for lon in sides:
        if holds(geometry, lon=lon, lat=point.lat):
            return _Touch(geometry=geometry, lon=lon, lat=point.lat)
    return None


def _match(row: Sequence[Any], version: _Version, touch: _Touch) -> Match:
    metres = metres_to_border(touch.geometry, lon=touch.lon, lat=touch.lat)
    return Match(
        tract=row[8],
        state=row[9],
        county=row[10],
        tract_type=row[11],
        program=version.program,
        dataset=version.name,
        on_border=metres < ON_BORDER_M,
        distance_to_border_m=round(metres, 1),
    )


def _yes(matches: Sequence[Match], versions: dict[str, _Version], as_of: dt.date) -> Answer:
    first = matches[0]
    version = versions[first.program]
    return Answer(
        result=Result.YES,
        tract=first.tract,
        matches=tuple(matches),
        program=version.program,
        dataset=version.name,
        resolution=version.resolution,
        as_of=as_of,
        sample=version.is_sample,
        distance_to_border_m=first.distance_to_border_m,
        generation=version.generation,
    )


def _miss(
    point: Point, versions: Sequence[_Version], areas: dict[str, list[Miss]], as_of: dt.date
) -> Answer:
    """Tell no from unknown: unknown when it is unknown for any program that was looked at."""
    unknown = [version for version in versions if _is_unknown(point, version, areas)]
    told = next(iter([*unknown, *versions]), None)
    return Answer(
        result=Result.UNKNOWN if unknown or told is None else Result.NO,
        tract=None,
        matches=(),
        program=",".join(version.program for version in versions) or None,
        dataset=told.name if told else None,
        resolution=told.resolution if told else None,
        as_of=as_of,
        sample=told.is_sample if told else False,
        distance_to_border_m=None,
        generation=told.generation if told else None,
    )


def _is_unknown(point: Point, version: _Version, areas: dict[str, list[Miss]]) -> bool:
    """Tell whether a zone without a known border may hold the point."""
    said = areas.get(version.program)
    if said:
        return Miss.UNKNOWN in said
    if version.miss is Miss.NO or version.is_sample:
        return version.miss is Miss.UNKNOWN
    return near_the_states(lon=point.lon, lat=point.lat)
