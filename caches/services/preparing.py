"""From a source to a whole, validated version, before anything is written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import shapely
from shapely.geometry.base import BaseGeometry

from caches.models import Miss, Program, version_name
from caches.queries.answers import Tract
from caches.queries.geometry import halves, polygonal, square_km
from caches.queries.packing import on_grid, pack
from caches.services.coverage import Area, missing_by_state, unknown_areas
from caches.services.parsing import (
    Designation,
    Polygons,
    SourceRefused,
    read_designations,
    read_points,
    read_polygons,
)
from caches.services.programs import PROGRAMS
from caches.services.sources import Source

RECIPE: Final = "4"
"""Part of the fingerprint: raise it when the same source is to give other rows."""
FULL_VERTICES: Final = 150
"""Tracts of full density have 180 to 390 vertices on average, those at 1:500,000 about 60."""

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedZone:
    """A zone as it will be stored."""

    designation: Designation
    packed: bytes | None
    parts: tuple[PreparedPart, ...]
    area_km2: float | None
    content_hash: str

    @property
    def tract(self) -> Tract:
        """What is told of it beside its border."""
        told = self.designation
        return Tract(told.geoid, told.state, told.county, told.tract_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedPart:
    """What will be indexed of a zone."""

    bounds: tuple[float, float, float, float]
    packed: bytes | None
    """None: the zone's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedArea:
    """A coverage area as it will be stored."""

    miss: Miss
    state_fips: str
    basis: str
    bounds: tuple[float, float, float, float]
    packed: bytes
    content_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedSet:
    """A whole version, valid in itself."""

    program: Program
    source: str
    source_sha256: str
    content_sha256: str
    resolution: str
    is_sample: bool
    miss: Miss
    expected_count: int
    zones: Sequence[PreparedZone]
    areas: Sequence[PreparedArea]
    missing_by_state: Mapping[str, int]
    notes: Sequence[str]

    @property
    def version(self) -> str:
        """The name that answers carry."""
        return version_name(
            program=self.program,
            vintage=PROGRAMS[self.program].vintage,
            content_sha256=self.content_sha256,
        )

    @property
    def polygon_count(self) -> int:
        """How many zones have a polygon."""
        return sum(zone.packed is not None for zone in self.zones)


def fingerprint(source: Source) -> str:
    """Return the fingerprint of the source's bytes and of the way they are read."""
    return hashlib.sha256(f"{RECIPE}:{source.sha256}".encode()).hexdigest()


def prepare(
    source: Source, *, program: Program, force: bool = False, announce: Announce = lambda _: None
) -> PreparedSet:
    """Read and validate a source.

    :param force: leave polygons out that are not in the designated list instead of refusing.
    :param announce: told what is being done, in a few words.
    :raises SourceRefused: when the source is not valid.
    """
    announce("understanding")
    polygons = Polygons()
    for part in source.polygons:
        read_polygons(part.data, name=part.name, into=polygons)
    listed = (
        read_designations(source.designated.data, name=source.designated.name)
        if source.designated
        else None
    )
    designations = listed if listed is not None else polygons.designations
    if not designations:
        raise SourceRefused("The source holds no zones.")
    if listed is not None:
        _only_designated(polygons, listed, force=force)
    announce("checking borders")
    zones = [
        _zone(designations[geoid], polygons.borders.get(geoid)) for geoid in sorted(designations)
    ]
    expected = max(
        len(zones), 0 if polygons.is_sample else PROGRAMS[program].designated or len(zones)
    )
    announce("finding where a miss is no answer")
    missing = frozenset(zone.designation.geoid for zone in zones if zone.packed is None)
    miss = _miss(polygons, all_listed=len(zones) >= expected)
    areas = _areas(source, polygons, missing if miss is Miss.NO else frozenset())
    return PreparedSet(
        program=program,
        source=source.label,
        source_sha256=fingerprint(source),
        content_sha256=_content(zones, areas, miss),
        resolution=_resolution(polygons),
        is_sample=polygons.is_sample,
        miss=miss,
        expected_count=expected,
        zones=zones,
        areas=areas,
        missing_by_state=missing_by_state(missing),
        notes=polygons.notes,
    )


def _only_designated(polygons: Polygons, listed: Mapping[str, Designation], *, force: bool) -> None:
    unknown = sorted(polygons.borders.keys() - listed.keys())
    if not unknown:
        return
    if not force:
        raise SourceRefused(
            f"{len(unknown)} polygon(s) are of tracts that the list does not designate: "
            f"{', '.join(unknown[:5])}{' …' if len(unknown) > 5 else ''}."
        )
    for geoid in unknown:
        del polygons.borders[geoid]
    polygons.notes.append(f"{len(unknown)} polygons of tracts that are not designated left out")


def _miss(polygons: Polygons, *, all_listed: bool) -> Miss:
    """Tell what a miss means where no area says otherwise.

    "No" needs the whole list of designated tracts: without it nobody knows what is missing where.
    """
    return Miss.NO if all_listed and not polygons.is_sample else Miss.UNKNOWN


def _areas(source: Source, polygons: Polygons, missing: frozenset[str]) -> list[PreparedArea]:
    areas = [
        Area(miss=miss, state_fips="", basis="source", geometry=half)
        for miss, geometry in polygons.areas
        for half in halves(geometry)
    ]
    if missing:
        points = read_points(source.points.data, name=source.points.name) if source.points else []
        areas += unknown_areas(missing=missing, points=points)
    return [_area(area) for area in areas]


def _area(area: Area) -> PreparedArea:
    geometry = polygonal(on_grid(area.geometry)) or area.geometry
    packed = pack(geometry)
    return PreparedArea(
        miss=area.miss,
        state_fips=area.state_fips,
        basis=area.basis,
        bounds=_bounds(geometry),
        packed=packed,
        content_hash=_digest(f"{area.miss}:{area.state_fips}:{area.basis}".encode() + packed),
    )


def _zone(designation: Designation, border: BaseGeometry | None) -> PreparedZone:
    border = None if border is None else polygonal(on_grid(border))
    packed = None if border is None else pack(border)
    said = (designation.geoid, designation.state, designation.county, designation.tract_type)
    return PreparedZone(
        designation=designation,
        packed=packed,
        parts=() if border is None else _parts(border),
        area_km2=None if border is None else round(square_km(border), 6),
        content_hash=_digest(repr(said).encode() + (packed or b"")),
    )


def _parts(border: BaseGeometry) -> tuple[PreparedPart, ...]:
    sides = halves(border)
    return tuple(
        PreparedPart(bounds=_bounds(side), packed=None if len(sides) == 1 else pack(side))
        for side in sides
    )


def _bounds(geometry: BaseGeometry) -> tuple[float, float, float, float]:
    west, south, east, north = geometry.bounds
    return west, south, east, north


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _resolution(polygons: Polygons) -> str:
    if polygons.is_sample:
        return "sample"
    if polygons.resolution:
        return polygons.resolution[:16]
    known = [border for border in polygons.borders.values() if border is not None]
    if not known:
        return "none"
    mean = float(shapely.get_num_coordinates(known).mean())
    return "full" if mean >= FULL_VERTICES else "500k"


def _content(zones: Sequence[PreparedZone], areas: Sequence[PreparedArea], miss: Miss) -> str:
    digest = hashlib.sha256(f"{RECIPE}:{miss}".encode())
    for zone in zones:
        digest.update(bytes.fromhex(zone.content_hash))
    for area in areas:
        digest.update(bytes.fromhex(area.content_hash))
    return digest.hexdigest()
