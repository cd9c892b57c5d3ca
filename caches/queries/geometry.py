"""Geometry without a database: polygons, the antimeridian, distances. Units: degrees, EPSG:4326.

Prepared geometries crash in threads (libgeos issue 825), and some functions of shapely prepare
implicitly. Look-ups therefore call `shapely.intersects` on geometries that nobody shares.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon, box
from shapely.geometry.base import BaseGeometry

from caches.queries.states import FULL_TURN, HALF_TURN

METRES_PER_DEGREE = 111_195.0
"""Of latitude, on a sphere of the mean radius of the earth (6,371 km)."""
FAR_FROM_THE_CUT = 150.0
"""No tract around a point with a smaller longitude reaches the antimeridian."""


def polygonal(geometry: BaseGeometry) -> MultiPolygon | Polygon | None:
    """Return the valid polygonal parts of `geometry`, or None where it has no area.

    Invalid rings are mended by `make_valid`; lines and points that this leaves are dropped.
    """
    valid = geometry if geometry.is_valid else shapely.make_valid(geometry)
    polygons = [part for part in _flat(valid) if isinstance(part, Polygon) and part.area > 0]
    if not polygons:
        return None
    if len(polygons) == 1:
        return polygons[0]
    united = shapely.union_all(polygons) if valid is not geometry else MultiPolygon(polygons)
    return united if isinstance(united, MultiPolygon | Polygon) else None


def _flat(geometry: BaseGeometry) -> Iterable[BaseGeometry]:
    parts = getattr(geometry, "geoms", None)
    if parts is None:
        yield geometry
        return
    for part in parts:
        yield from _flat(part)


def within_half_turns(polygon: BaseGeometry) -> BaseGeometry:
    """Return `polygon` with longitudes in -180 to 180, cut where it crosses the antimeridian.

    Rings that jump from one side to the other (179.9, -179.9) and rings that run on past 180
    (179.9, 180.1) are both understood.
    """
    pieces = [_within_half_turns(part) for part in _flat(polygon) if isinstance(part, Polygon)]
    return pieces[0] if len(pieces) == 1 else shapely.union_all(pieces)


def _within_half_turns(polygon: Polygon) -> BaseGeometry:
    shell = _unrolled(shapely.get_coordinates(polygon.exterior))
    if shell[:, 0].min() >= -HALF_TURN and shell[:, 0].max() <= HALF_TURN:
        return polygon
    middle = shell[:, 0].mean()
    rings = [_unrolled(shapely.get_coordinates(ring)) for ring in polygon.interiors]
    holes = [_beside(ring, middle) for ring in rings]
    whole = polygonal(Polygon(shell, holes)) or polygon
    kept = []
    for turn in (-1, 0, 1):
        world = box(turn * FULL_TURN - HALF_TURN, -90, turn * FULL_TURN + HALF_TURN, 90)
        kept.append(moved(shapely.intersection(whole, world), -turn * FULL_TURN))
    return polygonal(shapely.union_all(kept)) or polygon


def _unrolled(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    ring = ring.copy()
    steps = np.diff(ring[:, 0])
    turns = np.where(steps > HALF_TURN, -FULL_TURN, np.where(steps < -HALF_TURN, FULL_TURN, 0))
    ring[1:, 0] += np.cumsum(turns)
    return ring


def _beside(ring: NDArray[np.float64], middle: float) -> NDArray[np.float64]:
    ring[:, 0] += FULL_TURN * round((middle - ring[:, 0].mean()) / FULL_TURN)
    return ring


def moved(geometry: BaseGeometry, by: float) -> BaseGeometry:
    """Return `geometry` with `by` degrees added to its longitudes."""
    return shapely.transform(geometry, lambda xy: np.add(xy, (by, 0.0)))


def halves(polygon: BaseGeometry) -> list[BaseGeometry]:
    """Return the parts to index: one, or an eastern and a western one for a zone on both sides.

    A single box around a zone on both sides of the antimeridian would span the world.
    """
    west, _, east, _ = polygon.bounds
    if east - west <= HALF_TURN:
        return [polygon]
    sides: dict[bool, list[Polygon]] = {True: [], False: []}
    for part in _flat(polygon):
        if isinstance(part, Polygon):
            sides[part.bounds[0] >= 0].append(part)
    return [MultiPolygon(parts) for parts in sides.values() if parts]


def holds(geometry: BaseGeometry, *, lon: float, lat: float) -> bool:
    """Tell whether the point lies in `geometry` (which nobody shares) or on its border."""
    return bool(shapely.intersects(geometry, shapely.Point(lon, lat)))


def metres_to_border(geometry: BaseGeometry, *, lon: float, lat: float) -> float:
    """Return the distance in metres from a point to the nearest border of a polygon.

    The cut along the antimeridian is no border. Good to some tenths of a percent within 100 km.
    Reads the corners only, so that threads may share the geometry.
    """
    scale = (METRES_PER_DEGREE * math.cos(math.radians(lat)), METRES_PER_DEGREE)
    if abs(lon) < FAR_FROM_THE_CUT and _is_one_ring(geometry):
        flat = (shapely.get_coordinates(geometry) - (lon, lat)) * scale
        return float(shapely.distance(shapely.linestrings(flat), shapely.Point(0.0, 0.0)))
    rings = shapely.get_rings(shapely.get_parts(geometry))
    corners, ring = shapely.get_coordinates(rings, return_index=True)
    border = ring[1:] == ring[:-1]
    on_cut = np.abs(corners[:, 0]) >= HALF_TURN
    border &= ~(on_cut[1:] & on_cut[:-1])
    flat = (corners - (lon, lat)) * scale
    sides = np.stack((flat[:-1][border], flat[1:][border]), axis=1)
    lines = shapely.multilinestrings(np.asarray(shapely.linestrings(sides)))
    return float(shapely.distance(lines, shapely.Point(0.0, 0.0)))


def _is_one_ring(geometry: BaseGeometry) -> bool:
    return bool(
        shapely.get_type_id(geometry) == shapely.GeometryType.POLYGON
        and shapely.get_num_interior_rings(geometry) == 0
    )


def square_km(geometry: BaseGeometry) -> float:
    """Return the area, good to a percent: a degree of longitude is taken at the middle latitude."""
    _, south, _, north = geometry.bounds
    narrow = math.cos(math.radians((south + north) / 2))
    return float(geometry.area * narrow * (METRES_PER_DEGREE / 1000) ** 2)
