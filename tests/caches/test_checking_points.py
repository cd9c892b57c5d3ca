"""What is a point, and what is said about one that is none."""

from __future__ import annotations

import math

import pytest

from caches.queries.points import CoordinatesRefused, Point, checked_point
from caches.queries.states import STATES


@pytest.mark.parametrize(
    ("lat", "lon"),
    [
        (38.9, -77.0),
        (13.44, 144.79),  # Guam
        (-14.3, -170.7),  # American Samoa
        (51.9, 179.5),  # the Aleutians, both sides
        (51.9, -179.5),
        (48.85, 2.35),  # abroad
        (90, 180),
        (-90, -180),
    ],
)
def test_points_on_the_earth_are_taken(lat: float, lon: float) -> None:
    assert checked_point(lat=lat, lon=lon) == Point(lat=lat, lon=lon)


@pytest.mark.parametrize(
    ("lat", "lon", "says"),
    [
        (90.1, 0, "lat=90.1 is not between -90 and 90"),
        (0, 181, "lon=181 is not between -180 and 180"),
        (math.nan, 0, "lat is not a finite number"),
        (0, math.inf, "lon is not a finite number"),
    ],
)
def test_impossible_points_are_refused_with_a_reason(lat: float, lon: float, says: str) -> None:
    with pytest.raises(CoordinatesRefused, match=says):
        checked_point(lat=lat, lon=lon)


@pytest.mark.parametrize(("lat", "lon"), [(-77.03, 38.89), (-118.25, 34.05), (144.79, 13.44)])
def test_swapped_points_get_a_hint(lat: float, lon: float) -> None:
    with pytest.raises(CoordinatesRefused) as caught:
        checked_point(lat=lat, lon=lon)
    assert f"Did you mean lat={lon:g} and lon={lat:g}?" in caught.value.detail
    assert caught.value.extensions == {"swapped": True}


def test_no_point_in_a_state_looks_swapped() -> None:
    for state in STATES.values():
        lon = (state.west + state.east) / 2
        lat = (state.south + state.north) / 2
        checked_point(lat=lat, lon=lon)
