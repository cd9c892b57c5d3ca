"""Where a miss is no "no": the areas that may hold a designated zone without a polygon.

A state is incomplete while one of its designated zones has no polygon. A miss inside an incomplete
state is "unknown". Which state a point lies in is told without state borders, from the best that
the source offers:

* **Internal points** of all tracts (one point per tract, with its id): a point belongs to the state
  of the nearest internal point. Because tracts are no circles, a zone without a polygon may reach
  over that line; a point of another state therefore stays unknown also where it is less than
  `REACH` times as far from the internal point of such a zone as from its nearest internal point.
  Measured on 268 tracts at state borders whose polygons are known: without the reach 8 % of their
  area would be answered wrongly, with a reach of four 0.3 %. A zone whose own point is not there
  (tracts are renumbered) may lie wherever its county does.
* **Boxes** of states where there are no internal points: wide, so that no zone is missed, at the
  price of "unknown" in the neighbours' border land.

Both are cut at the state's box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from caches.models import Miss
from caches.queries.geometry import moved, polygonal
from caches.queries.states import FULL_TURN, HALF_TURN, STATES, State

REACH = 4.0
AROUND_DEGREES = 1.0
"""Tracts this far outside a state's box still decide about points inside it."""
TILE_DEGREES = 1.0
"""Areas are stored in tiles, so that a look-up reads a small piece."""
ROUND = 24
"""Segments per quarter of a circle; the circle is drawn inside the true one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalPoint:
    """A point inside a census tract, as the Census Bureau publishes one for each."""

    geoid: str
    lon: float
    lat: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """An area in which a miss means `miss`."""

    miss: Miss
    state_fips: str
    basis: str
    geometry: BaseGeometry


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sites:
    """The internal points in and around one state, in a plane that is true to scale there."""

    geoids: Sequence[str]
    xy: NDArray[np.float64]
    squeeze: float
    """What longitudes were multiplied by."""


def unknown_areas(*, missing: AbstractSet[str], points: Sequence[InternalPoint]) -> list[Area]:
    """Return the areas that may hold one of the `missing` zones (tract ids), by state, in tiles."""
    areas: list[Area] = []
    by_state: dict[str, set[str]] = {}
    for geoid in missing:
        by_state.setdefault(geoid[:2], set()).add(geoid)
    table = np.array([(point.lon, point.lat) for point in points], dtype=np.float64).reshape(-1, 2)
    for fips in sorted(by_state):
        state = STATES[fips]
        sites = _sites(state, points, table)
        placed = _placed(by_state[fips], sites)
        if placed:
            areas += _tiled(state, _territory(state, placed, sites), "internal points")
        else:
            areas += _tiled(state, _plane_box(state), "state box")
    return areas


def _sites(state: State, points: Sequence[InternalPoint], table: NDArray[np.float64]) -> _Sites:
    lon, lat = table[:, 0].copy(), table[:, 1]
    if state.west < -HALF_TURN:
        lon = np.where(lon > 0, lon - FULL_TURN, lon)
    near = (
        (lon >= state.west - AROUND_DEGREES)
        & (lon <= state.east + AROUND_DEGREES)
        & (lat >= state.south - AROUND_DEGREES)
        & (lat <= state.north + AROUND_DEGREES)
    )
    squeeze = float(np.cos(np.radians((state.south + state.north) / 2)))
    plane = np.column_stack((lon[near] * squeeze, lat[near]))
    _, first = np.unique(plane, axis=0, return_index=True)
    chosen = np.flatnonzero(near)[first]
    return _Sites(
        geoids=[points[index].geoid for index in chosen], xy=plane[first], squeeze=squeeze
    )


def _placed(missing: AbstractSet[str], sites: _Sites) -> set[str]:
    """Return the tracts that the missing zones may be, or nothing where one cannot be placed."""
    known = set(sites.geoids)
    placed = set(missing & known)
    for geoid in missing - known:
        county = {other for other in known if other.startswith(geoid[:5])}
        if not county:
            return set()
        placed |= county
    return placed if len(known) >= 3 else set()


def _territory(state: State, missing: AbstractSet[str], sites: _Sites) -> BaseGeometry:
    """Return the state's part of the plane, with what its missing zones may reach beyond it."""
    frame = _squeezed(box(state.west - 1, state.south - 1, state.east + 1, state.north + 1), sites)
    cells = np.array(
        shapely.voronoi_polygons(shapely.MultiPoint(sites.xy), extend_to=frame, ordered=True).geoms
    )
    own = np.array([geoid.startswith(state.fips) for geoid in sites.geoids])
    parts: list[BaseGeometry] = [shapely.union_all(cells[own])]
    tree = shapely.STRtree(cells)
    for index in _at_the_border(cells, own, missing, sites, tree):
        parts.extend(_reach(index, cells, own, sites, tree))
    land = shapely.union_all(parts)
    return shapely.transform(land, lambda xy: xy / (sites.squeeze, 1.0))


def _at_the_border(
    cells: NDArray[np.object_],
    own: NDArray[np.bool_],
    missing: AbstractSet[str],
    sites: _Sites,
    tree: shapely.STRtree,
) -> list[int]:
    """Return the missing zones with another state's tract among the neighbours' neighbours."""
    wanted = [index for index, geoid in enumerate(sites.geoids) if geoid in missing]
    return [index for index in wanted if not own[_neighbourhood(index, cells, tree)].all()]


def _neighbourhood(
    index: int, cells: NDArray[np.object_], tree: shapely.STRtree
) -> NDArray[np.int64]:
    ring = tree.query(cells[index], predicate="intersects")
    return np.unique(tree.query(cells[ring], predicate="intersects")[1])


def _reach(
    index: int,
    cells: NDArray[np.object_],
    own: NDArray[np.bool_],
    sites: _Sites,
    tree: shapely.STRtree,
) -> list[BaseGeometry]:
    """Return where, in other states' cells, a zone may reach.

    The points that are more than `REACH` times as far from the zone's internal point as from
    another are a circle (of Apollonius) around that other one; the rest of its cell is in reach.
    """
    reached = []
    centre = sites.xy[index]
    for other in _neighbourhood(index, cells, tree):
        if own[other]:
            continue
        away = sites.xy[other] - centre
        share = 1.0 / (REACH * REACH - 1.0)
        out_of_reach = shapely.Point(sites.xy[other] + away * share).buffer(
            REACH * share * float(np.hypot(*away)), quad_segs=ROUND
        )
        reached.append(shapely.difference(cells[other], out_of_reach))
    return reached


def _squeezed(geometry: BaseGeometry, sites: _Sites) -> BaseGeometry:
    return shapely.transform(geometry, lambda xy: xy * (sites.squeeze, 1.0))


def _plane_box(state: State) -> BaseGeometry:
    return box(state.west, state.south, state.east, state.north)


def _tiled(state: State, land: BaseGeometry, basis: str) -> list[Area]:
    """Cut `land` at the state's box and into tiles, and put longitudes back into -180 to 180."""
    land = shapely.intersection(land, _plane_box(state))
    areas = []
    for west in _steps(state.west, state.east):
        column = shapely.intersection(
            land, box(west, state.south, min(west + TILE_DEGREES, state.east), state.north)
        )
        for south in _steps(state.south, state.north):
            tile = box(west, south, west + TILE_DEGREES, south + TILE_DEGREES)
            piece = polygonal(shapely.intersection(column, tile))
            if piece is None:
                continue
            if piece.bounds[2] <= -HALF_TURN:
                piece = polygonal(moved(piece, FULL_TURN)) or piece
            areas.append(
                Area(miss=Miss.UNKNOWN, state_fips=state.fips, basis=basis, geometry=piece)
            )
    return areas


def _steps(low: float, high: float) -> list[float]:
    """Return the lower sides of the tiles: whole degrees, so that none crosses -180."""
    first = float(np.floor(low))
    return [first + step for step in range(int(np.ceil(high) - first))]


def missing_by_state(missing: AbstractSet[str]) -> Mapping[str, int]:
    """Return how many zones without a polygon each state has, by its FIPS code."""
    counts: dict[str, int] = {}
    for geoid in sorted(missing):
        counts[geoid[:2]] = counts.get(geoid[:2], 0) + 1
    return counts
