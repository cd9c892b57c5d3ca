"""From the bytes of a source to zones, areas and points. Knows formats, nothing of databases."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from caches.models import Miss
from caches.queries.geometry import polygonal, within_half_turns
from caches.queries.states import STATES
from caches.services.coverage import InternalPoint
from common.errors import PolystoreError

GEOID_NAMES: Final = ("GEOID10", "GEOID20", "GEOID", "geoid", "geoid10", "tract", "CENSUSTRACT")
STATE_NAMES: Final = ("STATE_NAME", "state", "STATE")
COUNTY_NAMES: Final = ("COUNTY", "county", "COUNTY_NAME")
TYPE_NAMES: Final = ("TRACT_TYPE", "tract_type")

RENUMBERED: Final[Mapping[str, str]] = {"51515050100": "51019050100"}
"""Bedford City, Virginia, became a town of Bedford County in 2013; the official list names the
county's id, feature services carry the tract under both."""


class SourceRefused(PolystoreError):
    """The source cannot be read as opportunity zones; nothing was written."""

    code, status, title = "caches.source_refused", 422, "The source was refused"
    remedy = "Name a GeoJSON file, the designated list as CSV, or a folder that holds both."


@dataclass(frozen=True, slots=True, kw_only=True)
class Designation:
    """A tract that the law designates."""

    geoid: str
    state: str
    county: str
    tract_type: str


@dataclass(slots=True, kw_only=True)
class Polygons:
    """What one GeoJSON file says."""

    borders: dict[str, BaseGeometry | None] = field(default_factory=dict)
    designations: dict[str, Designation] = field(default_factory=dict)
    areas: list[tuple[Miss, BaseGeometry]] = field(default_factory=list)
    is_sample: bool = False
    resolution: str = ""
    notes: list[str] = field(default_factory=list)


def read_designations(data: bytes, *, name: str) -> dict[str, Designation]:
    """Read the designated list: CSV with the columns geoid, state, county and tract_type.

    :raises SourceRefused: on a wrong id, an id that occurs twice, or a missing column.
    """
    rows = _rows(data, name, {"geoid", "state", "county"})
    found: dict[str, Designation] = {}
    for number, row in rows:
        geoid = tract_id(row["geoid"], where=f"{name}, line {number}")
        if geoid in found:
            raise SourceRefused(f"{name}, line {number}: tract {geoid} occurs twice.")
        found[geoid] = Designation(
            geoid=geoid,
            state=row["state"].strip()[:64],
            county=row["county"].strip()[:100],
            tract_type=(row.get("tract_type") or "").strip()[:40],
        )
    if not found:
        raise SourceRefused(f"{name} lists no tracts.")
    return found


def read_points(data: bytes, *, name: str) -> list[InternalPoint]:
    """Read internal points of tracts: CSV with the columns geoid, lat and lon.

    :raises SourceRefused: on a wrong id, a coordinate that is no number, or a missing column.
    """
    points = []
    for number, row in _rows(data, name, {"geoid", "lat", "lon"}):
        try:
            lon, lat = float(row["lon"]), float(row["lat"])
        except ValueError:
            raise SourceRefused(f"{name}, line {number}: a coordinate is no number.") from None
        if not (-180 <= lon <= 180 and -90 <= lat <= 90):
            raise SourceRefused(f"{name}, line {number}: a coordinate is out of range.")
        geoid = tract_id(row["geoid"], where=f"{name}, line {number}")
        points.append(InternalPoint(geoid=geoid, lon=lon, lat=lat))
    return points


def _rows(data: bytes, name: str, columns: set[str]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceRefused(f"{name} is not UTF-8 text.") from None
    reader = csv.DictReader(io.StringIO(text))
    absent = columns - set(reader.fieldnames or ())
    if absent:
        raise SourceRefused(f"{name} lacks the column(s) {', '.join(sorted(absent))}.")
    try:
        for row in reader:
            if any(row[column] is None for column in columns):
                raise SourceRefused(f"{name}, line {reader.line_num}: the line is cut short.")
            yield reader.line_num, row
    except csv.Error as error:
        raise SourceRefused(f"{name}, line {reader.line_num}: {error}.") from None


def tract_id(value: object, *, where: str) -> str:
    """Return a tract id as eleven digits of a known state.

    :raises SourceRefused: naming `where`.
    """
    text = str(value).strip()
    if text.isascii() and text.isdigit() and len(text) == 10:
        text = f"0{text}"  # a spreadsheet or a number took the leading zero
    if not (text.isascii() and text.isdigit() and len(text) == 11 and text[:2] in STATES):
        raise SourceRefused(f"{where}: {text[:40]!r} is no census tract id (11 digits).")
    return text


def read_polygons(data: bytes, *, name: str, into: Polygons | None = None) -> Polygons:
    """Read a GeoJSON FeatureCollection of tracts.

    A feature without geometry is a zone whose border is not known. Invalid rings are mended.
    A feature with the property `coverage` (`no`, `unknown`) is no zone but says what a miss
    means inside it.

    :param into: what pages before this one said; it is added to.
    :raises SourceRefused: when it is no GeoJSON, or a tract occurs twice with different borders.
    """
    document = _document(data, name)
    found = Polygons() if into is None else into
    found.is_sample = found.is_sample or document.get("sample") is True
    found.resolution = found.resolution or str(document.get("resolution") or "")
    for number, feature in enumerate(document["features"]):
        _read_feature(found, feature, where=f"{name}, feature {number}")
    if not found.borders:
        raise SourceRefused(f"{name} holds no zones.")
    return found


def _document(data: bytes, name: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise SourceRefused(f"{name} is not JSON, or was cut short.") from None
    if (
        not isinstance(document, dict)
        or document.get("type") != "FeatureCollection"
        or not isinstance(document.get("features"), list)
    ):
        raise SourceRefused(f"{name} is no GeoJSON FeatureCollection.")
    return document


def _read_feature(found: Polygons, feature: Any, *, where: str) -> None:
    if not isinstance(feature, dict) or not isinstance(feature.get("properties"), dict):
        raise SourceRefused(f"{where} is no GeoJSON feature with properties.")
    properties: dict[str, Any] = feature["properties"]
    geometry = _geometry(feature.get("geometry"), found.notes, where=where)
    if properties.get("coverage") in Miss.values:
        if geometry is None:
            raise SourceRefused(f"{where}: a coverage area needs a polygon.")
        found.areas.append((Miss(properties["coverage"]), geometry))
        return
    geoid = tract_id(_first(properties, GEOID_NAMES), where=where)
    _add(found, RENUMBERED.get(geoid, geoid), geometry, renumbered=geoid in RENUMBERED)
    current = RENUMBERED.get(geoid, geoid)
    found.designations.setdefault(
        current,
        Designation(
            geoid=current,
            state=STATES[current[:2]].name,
            county=_first(properties, COUNTY_NAMES)[:100],
            tract_type=_first(properties, TYPE_NAMES)[:40],
        ),
    )


def _add(found: Polygons, geoid: str, border: BaseGeometry | None, *, renumbered: bool) -> None:
    known = found.borders.get(geoid)
    if geoid not in found.borders or known is None:
        found.borders[geoid] = border
    elif border is not None and (renumbered or geoid in RENUMBERED.values()):
        found.borders[geoid] = polygonal(shapely.union_all([known, border])) or known
    elif border is not None and not shapely.equals(known, border):
        raise SourceRefused(f"Tract {geoid} occurs twice with different borders.")
    else:
        found.notes.append(f"{geoid} occurs twice")


def _first(properties: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((str(properties[key]).strip() for key in names if properties.get(key)), "")


def _geometry(value: Any, notes: list[str], *, where: str) -> BaseGeometry | None:
    if value is None:
        return None
    try:
        geometry = shape(value)
    except (ShapelyError, ValueError, TypeError, AttributeError, KeyError, IndexError):
        raise SourceRefused(f"{where}: the geometry cannot be read.") from None
    if geometry.is_empty:
        return None
    west, south, east, north = geometry.bounds
    if not (-360 <= west <= east <= 360 and -90 <= south <= north <= 90):
        raise SourceRefused(f"{where}: coordinates are not degrees of longitude and latitude.")
    if not geometry.is_valid:
        notes.append(f"{where}: {shapely.is_valid_reason(geometry)}; mended")
    whole = polygonal(within_half_turns(geometry))
    if whole is None:
        notes.append(f"{where}: nothing with an area; taken as a zone without polygon")
    return whole
