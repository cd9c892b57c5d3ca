"""A point that somebody asks about: checked, and told what is wrong with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from caches.queries.states import near_the_states
from common.errors import PolystoreError


class CoordinatesRefused(PolystoreError):
    """What was sent is no point on the earth, or latitude and longitude are swapped."""

    code, status, title = "caches.coordinates_refused", 422, "The coordinates are wrong"
    remedy = (
        "Send lat from -90 to 90 and lon from -180 to 180, in decimal degrees; in the United "
        "States lat is positive and lon negative (Guam and the western Aleutians: positive)."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point on the earth, in degrees (WGS 84)."""

    lat: float
    lon: float


def checked_point(*, lat: float, lon: float) -> Point:
    """Return the point.

    :raises CoordinatesRefused: when a number is not finite or out of range, or when the point lies
        far from the United States while the swapped one lies in or near them.
    """
    for name, value in (("lat", lat), ("lon", lon)):
        if not math.isfinite(value):
            raise CoordinatesRefused(f"{name} is not a finite number.")
    swapped = _would_fit_swapped(lat=lat, lon=lon)
    hint = f" Did you mean lat={lon:g} and lon={lat:g}?" if swapped else ""
    if not -90 <= lat <= 90:
        raise CoordinatesRefused(f"lat={lat:g} is not between -90 and 90.{hint}", swapped=swapped)
    if not -180 <= lon <= 180:
        raise CoordinatesRefused(f"lon={lon:g} is not between -180 and 180.{hint}", swapped=swapped)
    if swapped:
        raise CoordinatesRefused(f"lat and lon look swapped.{hint}", swapped=True)
    return Point(lat=lat, lon=lon)


def _would_fit_swapped(*, lat: float, lon: float) -> bool:
    return not near_the_states(lon=lon, lat=lat) and near_the_states(lon=lat, lat=lon)
