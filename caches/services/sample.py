"""The sample that ships: made up by this recipe, so that a site without a source can be tried.

The zones are squares of 0.02 degrees around well-known places, and stand for nothing real; their
tract numbers (county 000) do not exist. Around each lies a square in which a miss is a "no";
everywhere else the sample knows nothing, and the answer is "unknown". Every answer says `sample`.
"""

from __future__ import annotations

import json
from typing import Any, Final

HALF_ZONE: Final = 0.01
HALF_AREA: Final = 0.1

# (state, place, latitude, longitude of the centre)
PLACES: Final = (
    ("11", "Washington", 38.89, -77.03),
    ("06", "Los Angeles", 34.05, -118.25),
    ("17", "Chicago", 41.88, -87.63),
    ("15", "Honolulu", 21.31, -157.86),
)
WITHOUT_POLYGON: Final = ("36", "New York")
ON_THE_ANTIMERIDIAN: Final = ("02", "Aleutians", 52.0, 180.0)
Ring = list[list[float]]


def sample_document() -> dict[str, Any]:
    """Return the GeoJSON document of the sample."""
    features: list[dict[str, Any]] = []
    for number, (state, place, lat, lon) in enumerate(PLACES, start=1):
        rings = [_square(lat, lon, HALF_ZONE)]
        if number == 1:  # one zone has a hole
            rings.append(_square(lat, lon, HALF_ZONE / 4))
        features.append(_zone(state, number, place, _polygon(*rings)))
        features.append(_area(_polygon(_square(lat, lon, HALF_AREA))))
    state, place, lat, lon = ON_THE_ANTIMERIDIAN
    features.append(_zone(state, len(PLACES) + 1, place, _polygon(_square(lat, lon, HALF_ZONE))))
    features.append(_area(_polygon(_square(lat, lon, HALF_AREA))))
    features.append(_zone(WITHOUT_POLYGON[0], len(PLACES) + 2, WITHOUT_POLYGON[1], None))
    return {
        "type": "FeatureCollection",
        "sample": True,
        "resolution": "sample",
        "features": features,
    }


def sample_text() -> str:
    """Return the document as it ships: one feature a line."""
    document = sample_document()
    features = ",\n".join(json.dumps(feature) for feature in document.pop("features"))
    head = json.dumps(document)[:-1]
    return f'{head}, "features": [\n{features}\n]}}\n'


def _square(lat: float, lon: float, half: float) -> Ring:
    corners = ((-half, -half), (half, -half), (half, half), (-half, half), (-half, -half))
    return [[round(lon + x, 6), round(lat + y, 6)] for x, y in corners]


def _polygon(*rings: Ring) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def _zone(state: str, number: int, place: str, geometry: dict[str, Any] | None) -> dict[str, Any]:
    properties = {
        "GEOID10": f"{state}000{number:04d}00",
        "COUNTY": f"{place} (sample)",
        "TRACT_TYPE": "Sample",
    }
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def _area(geometry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "properties": {"coverage": "no"}, "geometry": geometry}
