"""The index in memory: all zones of a version in one tree, for threads to share.

Only `STRtree.query` looks at shared geometries: prepared ones crash in threads (libgeos issue 825).
Whatever else is made of a geometry (distances, GeoJSON) reads its corners.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Point as ShapelyPoint
from shapely.geometry.base import BaseGeometry

from caches.models import Miss
from caches.queries.answers import (
    Answer,
    Finding,
    Tract,
    Version,
    conclude,
    longitudes,
    match,
)
from caches.queries.packing import unpack_many
from caches.queries.points import Point
from caches.queries.states import HALF_TURN, near_the_states

_AT_ONCE: Final = 1000
"""Rows that are unpacked at once: their bytes are gone before the next ones come."""
CELLS_PER_DEGREE: Final = 20.0
_COLUMNS: Final = 7208
"""360 degrees, the cell that begins at 180, and what makes the rows whole bytes."""
_ROWS: Final = 3601
_MOST_PLANS: Final = 64
_NOTHING: Final[list[int]] = []
_IN_KANSAS: Final = Point(lat=39.0, lon=-98.0)
_AT_SEA: Final = Point(lat=0.0, lon=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A version as it is stored, wherever it was read from."""

    version: Version
    zones: Sequence[tuple[Tract, tuple[bytes, ...]]]
    """Each with its parts: none where its border is not known, two across the antimeridian."""
    areas: Sequence[tuple[Miss, bytes]]


class ZoneIndex:
    """One version in memory. It never changes."""

    def __init__(self, contents: Contents) -> None:
        """Unpack and index a version."""
        self.version: Final = contents.version
        self.tracts: Final = tuple(tract for tract, _ in contents.zones)
        self.zone_of: Final = [
            number for number, (_, parts) in enumerate(contents.zones) for _ in parts
        ]
        """Entry of the tree → number of its zone; entries beyond are areas."""
        self.misses: Final = [miss for miss, _ in contents.areas]
        packed = [part for _, parts in contents.zones for part in parts]
        packed += [area for _, area in contents.areas]
        self.entries: Final = _unpacked(packed)
        self.tree: Final = shapely.STRtree(self.entries)
        self.find: Final = self.tree.query
        self._near: Final = _cells(shapely.bounds(self.entries))
        self.numbers: Final[Mapping[str, int]] = {
            tract.geoid: number for number, tract in enumerate(self.tracts)
        }

    @property
    def polygon_count(self) -> int:
        """How many zones have a border."""
        return len(set(self.zone_of))

    def entries_at(self, lon: float, lat: float) -> list[int]:
        """Return the entries of the tree that hold a point: the look-up itself."""
        cell = int((lat + 90.0) * CELLS_PER_DEGREE) * _COLUMNS + int(
            (lon + HALF_TURN) * CELLS_PER_DEGREE
        )
        if not self._near[cell >> 3] & (128 >> (cell & 7)):
            return _NOTHING
        entries: list[int] = self.find(ShapelyPoint(lon, lat), predicate="intersects").tolist()
        return entries

    def finding(self, lon: float, lat: float) -> Finding | None:
        """Return what this version holds at a point, None when that is nothing."""
        found = None
        for side in longitudes(lon):
            entries = self.entries_at(side, lat)
            if entries:
                found = found or Finding(self.version, {}, [])
                self.note(found, entries, lon=side, lat=lat)
        return found

    def note(self, found: Finding, entries: Iterable[int], *, lon: float, lat: float) -> None:
        """Note entries of the tree that hold a point."""
        for entry in entries:
            if entry < len(self.zone_of):
                tract = self.tracts[self.zone_of[entry]]
                border = self.entries[entry]
                found.add(match(tract, self.version, border, lon=lon, lat=lat))
            else:
                found.areas.append(self.misses[entry - len(self.zone_of)])

    def findings(
        self, lons: NDArray[np.float64], lats: NDArray[np.float64]
    ) -> Mapping[int, Finding]:
        """Return what this version holds at which of many points, asked at once."""
        found: dict[int, Finding] = {}
        asked = np.arange(len(lons))
        twice = np.abs(lons) == HALF_TURN
        numbers = np.concatenate((asked, asked[twice]))
        sides = np.concatenate((lons, -lons[twice]))
        points = shapely.points(sides, lats[numbers])
        inputs, entries = self.find(points, predicate="intersects")
        for asked_as, entry in zip(inputs.tolist(), entries.tolist(), strict=True):
            number = int(numbers[asked_as])
            finding = found.get(number)
            if finding is None:
                finding = found[number] = Finding(self.version, {}, [])
            self.note(finding, (entry,), lon=float(sides[asked_as]), lat=float(lats[number]))
        return found

    def parts_of(self, geoid: str) -> list[BaseGeometry]:
        """Return the parts of a zone's border; none where it is not known."""
        number = self.numbers[geoid]
        first = int(np.searchsorted(self.zone_of, number))
        parts: list[BaseGeometry] = []
        while first < len(self.zone_of) and self.zone_of[first] == number:
            parts.append(self.entries[first])
            first += 1
        return parts


@dataclass(frozen=True, slots=True)
class Plan:
    """Which indexes are asked about a day, and what it means that none holds a point."""

    asked: tuple[ZoneIndex, ...]
    near: Answer
    """In or near the states."""
    abroad: Answer

    def conclude(self, point: Point, as_of: dt.date, findings: Sequence[Finding | None]) -> Answer:
        """Return the answer from what each of the indexes holds at a point."""
        if any(findings):
            told = [
                finding or Finding(index.version, {}, [])
                for index, finding in zip(self.asked, findings, strict=True)
            ]
            return conclude(point, as_of, told)
        if self.near is self.abroad or near_the_states(lon=point.lon, lat=point.lat):
            return self.near
        return self.abroad


class Indexes(tuple[ZoneIndex, ...]):  # noqa: SLOT001 - it keeps its plans in its dictionary
    """One index per program, in the order of their names."""

    _plans: dict[tuple[dt.date, str | None], Plan]

    def plan(self, as_of: dt.date, program: str | None) -> Plan:
        """Return which indexes answer for a day and a program (None: all)."""
        plans = self.__dict__.setdefault("_plans", {})
        found: Plan | None = plans.get((as_of, program))
        if found is None:
            if len(plans) >= _MOST_PLANS:
                plans.clear()
            found = plans[as_of, program] = _plan(asked_of(self, as_of, program), as_of)
        return found


def _plan(asked: Sequence[ZoneIndex], as_of: dt.date) -> Plan:
    nothing = [Finding(index.version, {}, []) for index in asked]
    near, abroad = (conclude(point, as_of, nothing) for point in (_IN_KANSAS, _AT_SEA))
    return Plan(tuple(asked), near, near if near == abroad else abroad)


def look_up(indexes: Indexes, point: Point, as_of: dt.date, program: str | None = None) -> Answer:
    """Return whether `point` lies in a zone that is in force on the day `as_of`."""
    plan = indexes.plan(as_of, program)
    findings = [index.finding(point.lon, point.lat) for index in plan.asked]
    return plan.conclude(point, as_of, findings)


def look_up_many(
    indexes: Indexes, points: Sequence[Point], as_of: dt.date, program: str | None = None
) -> list[Answer]:
    """Return the answer for each point; the tree is asked once for all."""
    lons = np.array([point.lon for point in points], dtype=np.float64)
    lats = np.array([point.lat for point in points], dtype=np.float64)
    plan = indexes.plan(as_of, program)
    columns = [index.findings(lons, lats) for index in plan.asked]
    return [
        plan.conclude(point, as_of, [column.get(number) for column in columns])
        for number, point in enumerate(points)
    ]


def asked_of(indexes: Indexes, as_of: dt.date, program: str | None) -> list[ZoneIndex]:
    """Return the indexes that are in force on a day, or the one that was asked for."""
    return [
        index
        for index in indexes
        if index.version.in_force(as_of) and program in (None, index.version.program)
    ]


def _cells(bounds: NDArray[np.float64]) -> bytes:
    """Return one bit for each cell of the earth: whether the box of an entry touches it.

    Most points lie near no entry at all, and need not ask the tree.
    """
    near = np.zeros((_ROWS, _COLUMNS), dtype=bool)
    low = ((bounds[:, :2] + (HALF_TURN, 90.0)) * CELLS_PER_DEGREE).astype(int)
    high = ((bounds[:, 2:] + (HALF_TURN, 90.0)) * CELLS_PER_DEGREE).astype(int)
    for (west, south), (east, north) in zip(low.tolist(), high.tolist(), strict=True):
        near[south : north + 1, west : east + 1] = True
    return np.packbits(near).tobytes()


def _unpacked(packed: Sequence[bytes]) -> NDArray[Any]:
    if not packed:
        return np.empty(0, dtype=object)
    chunks = [
        unpack_many(packed[start : start + _AT_ONCE]) for start in range(0, len(packed), _AT_ONCE)
    ]
    return np.concatenate(chunks)
