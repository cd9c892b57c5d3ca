"""Where a miss is unknown: near zones without a polygon, and not in the next state."""

from __future__ import annotations

import shapely

from caches.models import Miss
from caches.queries.states import STATES
from caches.services.coverage import Area, InternalPoint, unknown_areas

# Tracts in rows along the straight border of Kansas (20, north) and Oklahoma (40, south) at 37°N.
GRID = [
    InternalPoint(geoid=f"{fips}001{row:03d}{column:03d}", lon=-99 + column * 0.2, lat=lat)
    for fips, first in (("20", 37.1), ("40", 36.9))
    for row, lat in enumerate(first + (0.2 if fips == "20" else -0.2) * n for n in range(8))
    for column in range(10)
]
MISSING = "40001000005"
"""At the border, longitude -98, latitude 36.9."""


def _unknown(areas: list[Area], lon: float, lat: float) -> bool:
    return any(shapely.intersects(area.geometry, shapely.Point(lon, lat)) for area in areas)


def test_an_incomplete_state_is_unknown_and_the_next_state_is_not() -> None:
    areas = unknown_areas(missing={MISSING}, points=GRID)
    assert {area.state_fips for area in areas} == {"40"}
    assert {area.miss for area in areas} == {Miss.UNKNOWN}
    assert all(_unknown(areas, p.lon, p.lat) for p in GRID if p.geoid.startswith("40"))
    assert not any(_unknown(areas, p.lon, p.lat) for p in GRID if p.geoid.startswith("20"))


def test_a_zone_without_polygon_may_reach_over_the_line_between_the_states() -> None:
    """The state line by internal points is 37.0; the box of Oklahoma ends at 37.01."""
    areas = unknown_areas(missing={MISSING}, points=GRID)
    assert _unknown(areas, -98.0, 37.005)
    assert not _unknown(areas, -98.0, 37.02), "beyond the state's box there is no such zone"


def test_without_internal_points_the_whole_box_of_the_state_is_unknown() -> None:
    areas = unknown_areas(missing={MISSING}, points=[])
    box = STATES["40"]
    assert {area.basis for area in areas} == {"state box"}
    assert _unknown(areas, box.west, box.south)
    assert _unknown(areas, (box.west + box.east) / 2, box.north)


def test_a_renumbered_zone_may_lie_wherever_its_county_does() -> None:
    areas = unknown_areas(missing={"40001999999"}, points=GRID)
    assert {area.basis for area in areas} == {"internal points"}
    other_county = unknown_areas(missing={"40003000100"}, points=GRID)
    assert {area.basis for area in other_county} == {"state box"}


def test_areas_are_small_tiles_on_both_sides_of_the_antimeridian() -> None:
    areas = unknown_areas(missing={"02016000100"}, points=[])
    for area in areas:
        west, _, east, _ = area.geometry.bounds
        assert -180 <= west <= east <= 180
        assert east - west <= 1
    assert _unknown(areas, 179.5, 52)
    assert _unknown(areas, -179.5, 52)
    assert _unknown(areas, 180.0, 52)
    assert not _unknown(areas, -122, 52)
