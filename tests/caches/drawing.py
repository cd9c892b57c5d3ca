"""Sources drawn by the tests: squares with tract ids, lists and internal points."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.utils import timezone

from caches.models import Program
from caches.queries.lookup import Answer, look_up
from caches.queries.points import Point
from caches.services.seeding import SeedReport, seed

IN_FORCE = dt.date(2027, 6, 1)
"""A day on which both programs are in force. The tests mostly seed the second one: its list has
no fixed length, so that a handful of squares is a complete set."""


def square(lon: float, lat: float, half: float = 0.1) -> list[list[float]]:
    """Return a closed ring around a point."""
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))
    return [[round(lon + x * half, 9), round(lat + y * half, 9)] for x, y in corners]


def polygon(*rings: list[list[float]]) -> dict[str, Any]:
    """Return a GeoJSON polygon of an outer ring and holes."""
    return {"type": "Polygon", "coordinates": list(rings)}


def multipolygon(*rings: list[list[float]]) -> dict[str, Any]:
    """Return a GeoJSON multipolygon without holes."""
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}


def collection(
    zones: Mapping[str, dict[str, Any] | None] | Iterable[tuple[str, dict[str, Any] | None]],
) -> dict[str, Any]:
    """Return a FeatureCollection of tract ids and geometries."""
    pairs = zones.items() if isinstance(zones, Mapping) else zones
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"GEOID10": geoid, "COUNTY": "Test", "TRACT_TYPE": "Drawn"},
                "geometry": geometry,
            }
            for geoid, geometry in pairs
        ],
    }


def write_folder(
    folder: Path,
    zones: Mapping[str, dict[str, Any] | None],
    *,
    listed: Sequence[str] = (),
    points: Mapping[str, tuple[float, float]] | None = None,
) -> Path:
    """Write a source folder; `points` are (longitude, latitude) by tract id."""
    folder.mkdir(exist_ok=True)
    (folder / "oz_tracts.geojson").write_text(json.dumps(collection(zones)))
    if listed:
        rows = "".join(f"{geoid},State,County,Drawn\n" for geoid in listed)
        (folder / "oz_designated.csv").write_text(f"geoid,state,county,tract_type\n{rows}")
    if points is not None:
        rows = "".join(f"{geoid},{lat},{lon}\n" for geoid, (lon, lat) in points.items())
        (folder / "tract_internal_points.csv").write_text(f"geoid,lat,lon\n{rows}")
    return folder


def many_squares(count: int, *, lat: float = 39.0) -> dict[str, dict[str, Any] | None]:
    """Return `count` squares in rows of a hundred, in Colorado and eastwards."""
    return {
        f"08{number:09d}": polygon(
            square(-104 + (number % 100) * 0.05, lat + (number // 100) * 0.05, 0.02)
        )
        for number in range(count)
    }


def seed_oz2(location: Path | str, **options: Any) -> SeedReport:
    """Seed the second program from a path, now."""
    return seed(location=str(location), at=timezone.now(), program=Program.OZ2, **options)


def ask(lat: float, lon: float, day: dt.date = IN_FORCE, program: str | None = None) -> Answer:
    """Look a point up."""
    return look_up(Point(lat=lat, lon=lon), day, program)
