"""What goes over the wire about zones."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field, Strict

from common.schemas import AnswerSchema, WireSchema

ProgramName = Literal["oz1", "oz2"]


class PointQuery(WireSchema):
    """A point, and what is asked about it."""

    lat: float = Field(description="Latitude in degrees, -90 to 90.", examples=[38.867033])
    lon: float = Field(description="Longitude in degrees, -180 to 180.", examples=[-76.979235])
    program: ProgramName | None = Field(
        None, description="One program; without it, all that are in force on the day."
    )
    as_of: dt.date | None = Field(None, description="The day to answer for; without it, today.")


class PointBody(PointQuery):
    """A point as JSON, where numbers are numbers: a coordinate in quotes is refused."""

    lat: Annotated[float, Strict()] = Field(description="Latitude in degrees, -90 to 90.")
    lon: Annotated[float, Strict()] = Field(description="Longitude in degrees, -180 to 180.")


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


class SeedingAnswer(AnswerSchema):
    """A run that is writing a version."""

    program: str
    done: int
    total: int
    started_at: dt.datetime
    heartbeat_at: dt.datetime | None


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
    last_update: dt.datetime
    verified_at: dt.datetime | None
    expires_at: dt.datetime | None


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
    seeding: list[SeedingAnswer]
