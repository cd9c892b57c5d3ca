"""What goes over the wire about zones."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, Field, Strict, model_validator

from common.schemas import AnswerSchema, Day, WireSchema

AT_ONCE: Final = 1000
"""Points of a batch that are answered in the request."""
MOST: Final = 50_000
"""Points of a batch that becomes a job; the size of bodies sets a limit, too."""
ADDRESSES_AT_ONCE: Final = 100
MOST_ADDRESSES: Final = 10_000

ProgramName = Literal["oz1", "oz2"]


def _require_one(lat: float | None, lon: float | None, address: str | None) -> None:
    point = (lat is not None) + (lon is not None)
    if (address is None) == (point == 0) or point == 1:
        raise ValueError("Send lat and lon, or an address.")


class PointQuery(WireSchema):
    """A point, and what is asked about it."""

    lat: float = Field(description="Latitude in degrees, -90 to 90.", examples=[38.867033])
    lon: float = Field(description="Longitude in degrees, -180 to 180.", examples=[-76.979235])
    program: ProgramName | None = Field(
        None, description="One program; without it, all that are in force on the day."
    )
    as_of: Day | None = Field(None, description="The day to answer for; without it, today.")


class AddressBody(WireSchema):
    """An address. It stands in the body, which no access log keeps."""

    address: str = Field(
        description="On one line: number and street, city, state, ZIP code.", max_length=1000
    )


class CheckBody(WireSchema):
    """A point as JSON, where numbers are numbers, or an address."""

    lat: Annotated[float, Strict()] | None = Field(None, description="Latitude in degrees.")
    lon: Annotated[float, Strict()] | None = Field(None, description="Longitude in degrees.")
    address: str | None = Field(
        None,
        max_length=1000,
        description="Instead of a point, for users who are signed in: number and street, city, "
        "state, ZIP code.",
    )
    program: ProgramName | None = Field(
        None, description="One program; without it, all that are in force on the day."
    )
    as_of: Day | None = Field(None, description="The day to answer for; without it, today.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        _require_one(self.lat, self.lon, self.address)
        return self


class GeocodeAnswer(AnswerSchema):
    """Where an address lies. The address itself is not repeated."""

    result: Literal["match", "noMatch", "ambiguous", "failed"] = Field(
        description="failed, in batches alone: nobody could tell in time."
    )
    lat: float | None
    lon: float | None
    quality: Literal["rooftop", "interpolated", "street", "area"] | None = Field(
        description="area: a town or a ZIP code, too wide to tell its zone."
    )
    provider: str | None
    attribution: str | None = Field(description="What must be shown beside the point.")
    attribution_url: str | None
    cache: Literal["fresh", "stale", "miss", "unavailable"] | None
    checked_at: dt.datetime | None = Field(description="When a provider said so.")


class MatchAnswer(AnswerSchema):
    """A zone that holds the point."""

    tract: str
    state: str
    county: str
    tract_type: str
    program: str
    dataset: str
    on_border: bool
    distance_to_border_m: float


class CheckAnswer(AnswerSchema):
    """Whether a point lies in an opportunity zone."""

    result: Literal["yes", "no", "unknown"] = Field(
        description="unknown: a zone may be there whose border is not in the data."
    )
    tract: str | None
    matches: list[MatchAnswer]
    program: str | None
    dataset: str | None
    resolution: str | None
    as_of: dt.date
    sample: bool = Field(description="True while only the sample that ships is loaded.")
    distance_to_border_m: float | None
    geocode: GeocodeAnswer | None = Field(None, description="Of addresses alone.")


class ProgressedAnswer(AnswerSchema):
    """How many of a state's zones are stored."""

    done: int
    total: int


class RunAnswer(AnswerSchema):
    """A run that was just asked for."""

    id: uuid.UUID
    program: str
    origin: str
    state: str


class SeedingAnswer(RunAnswer):
    """A run: one that is under way, or the last one that ended."""

    stage: str = Field(description="fetching, reading, checking borders, writing …")
    done: int = Field(description="Of what this stage goes through.")
    total: int
    states: dict[str, ProgressedAnswer] = Field(description="State → its zones that are stored.")
    started_at: dt.datetime | None
    heartbeat_at: dt.datetime | None
    ended_at: dt.datetime | None
    rows_written: int
    error: str


class CoverageAnswer(AnswerSchema):
    """The zones of a state."""

    designated: int
    polygons: int = Field(description="Of how many the border is known.")


class WorkerAnswer(AnswerSchema):
    """The index in memory of one process."""

    origin: str = Field(description="database, snapshot or source; empty while it has none.")
    generations: dict[str, int] = Field(description="Program → generation.")
    database_reachable: bool
    loaded_ms: float


class VersionAnswer(AnswerSchema):
    """The version that answers for one program."""

    program: str
    dataset: str
    generation: int
    vintage: int
    resolution: str
    source: str
    sample: bool
    effective_from: dt.date
    effective_to: dt.date
    fresh: bool
    complete: bool
    feature_count: int
    polygon_count: int
    expected_count: int
    missing_by_state: dict[str, int]
    coverage: dict[str, CoverageAnswer]
    last_update: dt.datetime
    verified_at: dt.datetime | None
    expires_at: dt.datetime | None


class GeocoderAnswer(AnswerSchema):
    """A provider, and what became of the questions to it."""

    name: str
    calls: int
    errors: int
    not_asked: int = Field(description="It rested, or had no moment in time.")
    mean_ms: float | None
    resting_seconds: float = Field(description="For how long nobody asks it now.")


class GeocodingAnswer(AnswerSchema):
    """How geocoding does: figures of the last days, of all processes."""

    days: int
    counted: bool = Field(description="False while Redis, which counts, is away.")
    fresh: int
    stale: int
    negative: int
    miss: int
    unavailable: int = Field(description="The cache's database was away.")
    hit_rate: float | None
    providers: list[GeocoderAnswer]


class StatusAnswer(AnswerSchema):
    """How the zones stand. The figures of the first program stand at the top as well."""

    connection: Literal["connected", "disconnected"] = Field(
        description="To the database that holds the zones."
    )
    dataset: str | None
    sample: bool
    fresh: bool
    complete: bool
    feature_count: int
    last_update: dt.datetime | None
    expires_at: dt.datetime | None
    versions: list[VersionAnswer]
    seeding: list[SeedingAnswer] = Field(description="Runs that are under way.")
    last_run: SeedingAnswer | None
    workers: list[WorkerAnswer]
    workers_scope: Literal["all processes", "this process"]
    geocoding: GeocodingAnswer


class RefreshBody(WireSchema):
    """What is to be refreshed."""

    program: ProgramName | None = Field(None, description="Without it, the first one.")
    force: bool = Field(
        default=False,
        description="Take a set that shrank or moved, and write even what is unchanged.",
    )


# Batches ----------------------------------------------------------------------------------------


class BatchPoint(BaseModel):
    """One of many points, or of many addresses."""

    lat: Annotated[float, Strict()] | None = None
    lon: Annotated[float, Strict()] | None = None
    address: str | None = Field(
        None, max_length=1000, description="Instead of a point, for users who are signed in."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        _require_one(self.lat, self.lon, self.address)
        return self


class BatchBody(WireSchema):
    """Many points, and what is asked about them."""

    points: list[BatchPoint] = Field(
        min_length=1,
        max_length=MOST,
        description="Up to 1,000 points, or 100 of which some are addresses, are answered at once.",
    )
    program: ProgramName | None = None
    as_of: Day | None = None


class BatchItem(CheckAnswer):
    """The answer for one point, or for an address, whose point may not be known."""

    lat: float | None
    lon: float | None


class BatchAnswer(AnswerSchema):
    """The answers, in the order of the points."""

    items: list[BatchItem]


class JobAnswer(AnswerSchema):
    """A large batch and how far it is."""

    id: uuid.UUID
    state: Literal["queued", "running", "done"]
    total: int
    done: int
    as_of: dt.date
    created_at: dt.datetime
    ended_at: dt.datetime | None


class JobPage(BatchAnswer):
    """A page of a job's answers; empty while they are not there yet."""

    next: str | None
    previous: str | None


class PageQuery(WireSchema):
    """Which page."""

    cursor: str | None = Field(None, max_length=1000, description="`next` of the page before.")


# Maps -------------------------------------------------------------------------------------------


class ZoneQuery(WireSchema):
    """What is asked about a zone."""

    program: ProgramName | None = None
    as_of: Day | None = None


class ZonesQuery(ZoneQuery, PageQuery):
    """What a map shows."""

    bbox: str = Field(
        description="west,south,east,north in degrees; west is larger over the antimeridian.",
        examples=["-77.12,38.79,-76.9,39.0"],
        max_length=200,
    )
    zoom: float = Field(12, ge=0, le=24, description="Web map zoom: fewer corners further out.")
    limit: int = Field(2000, ge=1, le=5000)


class ZoneProperties(AnswerSchema):
    """What is told of a zone."""

    tract: str
    state: str
    county: str
    tract_type: str
    program: str
    dataset: str
    resolution: str
    sample: bool


class FeatureAnswer(AnswerSchema):
    """A GeoJSON feature; a zone whose border is not known has no geometry."""

    type: Literal["Feature"]
    id: str
    properties: ZoneProperties
    geometry: dict[str, Any] | None


class FeaturesAnswer(AnswerSchema):
    """A GeoJSON FeatureCollection."""

    type: Literal["FeatureCollection"]
    next: str | None
    features: list[FeatureAnswer]
