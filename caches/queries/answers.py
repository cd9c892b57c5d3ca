"""The answer to "is this point in an opportunity zone", however its parts were found.

The index in memory and the database find the same zones and areas; what is made of them is here.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from shapely.geometry.base import BaseGeometry

from caches.models import Miss
from caches.queries.geometry import metres_to_border
from caches.queries.points import Point
from caches.queries.states import HALF_TURN, near_the_states


class Result(StrEnum):
    """The three answers. Unknown: a zone may be there whose border is not known."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A zone that holds the point; a point on a border may lie in several."""

    tract: str
    state: str
    county: str
    tract_type: str
    program: str
    dataset: str
    on_border: bool
    distance_to_border_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is known about a point on a day."""

    result: Result
    tract: str | None
    """The smallest id among the matches."""
    matches: tuple[Match, ...]
    program: str | None
    """Of the match, or the programs that were looked at; None where there are no zones yet."""
    dataset: str | None
    resolution: str | None
    as_of: dt.date
    sample: bool
    distance_to_border_m: float | None
    generation: int | None = None


class Tract(NamedTuple):
    """What is told of a zone beside its border."""

    geoid: str
    state: str
    county: str
    tract_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version that answers for a program."""

    program: str
    generation: int
    name: str
    resolution: str
    miss: Miss
    """What it means that no zone and no area holds a point."""
    is_sample: bool
    effective_from: dt.date
    effective_to: dt.date
    dataset_id: uuid.UUID | None = None
    """None where it was made from its source, without the database."""

    def in_force(self, day: dt.date) -> bool:
        """Tell whether its program designates zones on that day."""
        return self.effective_from <= day <= self.effective_to


@dataclass(slots=True)
class Finding:
    """What one version holds around a point."""

    version: Version
    matches: dict[str, Match]
    """By tract id."""
    areas: list[Miss]

    def add(self, found: Match) -> None:
        """Note a zone; of its halves beside the antimeridian, the one whose border is nearer."""
        known = self.matches.get(found.tract)
        if known is None or found.distance_to_border_m < known.distance_to_border_m:
            self.matches[found.tract] = found


ON_BORDER_M: Final = 0.05
"""Nearer than this a point counts as lying on the border; coordinates have rounding."""


def longitudes(lon: float) -> tuple[float, ...]:
    """Return the ways to write a longitude: 180 and -180 are one meridian, and a zone may end on it
    from either side.
    """
    return (lon, -lon) if abs(lon) == HALF_TURN else (lon,)


def match(
    tract: Tract, version: Version, geometry: BaseGeometry, *, lon: float, lat: float
) -> Match:
    """Return the match of a zone whose part `geometry` holds the point."""
    metres = metres_to_border(geometry, lon=lon, lat=lat)
    return Match(
        tract=tract.geoid,
        state=tract.state,
        county=tract.county,
        tract_type=tract.tract_type,
        program=version.program,
        dataset=version.name,
        on_border=metres < ON_BORDER_M,
        distance_to_border_m=round(metres, 1),
    )


def conclude(point: Point, as_of: dt.date, findings: Sequence[Finding]) -> Answer:
    """Return the answer from what the versions in force on that day hold.

    :param findings: in the order of their programs.
    """
    matches = [one for finding in findings for one in finding.matches.values()]
    if not matches:
        return _miss(point, as_of, findings)
    if len(matches) > 1:
        matches.sort(key=lambda one: (one.tract, one.program))
    first = matches[0]
    version = next(f.version for f in findings if f.version.program == first.program)
    return Answer(
        result=Result.YES,
        tract=first.tract,
        matches=tuple(matches),
        program=version.program,
        dataset=version.name,
        resolution=version.resolution,
        as_of=as_of,
        sample=version.is_sample,
        distance_to_border_m=first.distance_to_border_m,
        generation=version.generation,
    )


def _miss(point: Point, as_of: dt.date, findings: Sequence[Finding]) -> Answer:
    """Tell no from unknown: unknown when it is unknown for any program that was looked at."""
    unknown = [finding.version for finding in findings if _is_unknown(point, finding)]
    told = next(iter([*unknown, *(finding.version for finding in findings)]), None)
    return Answer(
        result=Result.UNKNOWN if unknown or told is None else Result.NO,
        tract=None,
        matches=(),
        program=",".join(finding.version.program for finding in findings) or None,
        dataset=told.name if told else None,
        resolution=told.resolution if told else None,
        as_of=as_of,
        sample=told.is_sample if told else False,
        distance_to_border_m=None,
        generation=told.generation if told else None,
    )


def _is_unknown(point: Point, finding: Finding) -> bool:
    """Tell whether a zone without a known border may hold the point."""
    if finding.areas:
        return Miss.UNKNOWN in finding.areas
    version = finding.version
    if version.miss is Miss.NO or version.is_sample:
        return version.miss is Miss.UNKNOWN
    return near_the_states(lon=point.lon, lat=point.lat)


def wire(answer: Answer) -> dict[str, object]:
    """Return the members of an answer as they go over the wire."""
    return {
        "result": answer.result.value,
        "tract": answer.tract,
        "matches": [_match_wire(one) for one in answer.matches],
        "program": answer.program,
        "dataset": answer.dataset,
        "resolution": answer.resolution,
        "asOf": answer.as_of.isoformat(),
        "sample": answer.sample,
        "distanceToBorderM": answer.distance_to_border_m,
    }


def _match_wire(one: Match) -> dict[str, object]:
    return {
        "tract": one.tract,
        "state": one.state,
        "county": one.county,
        "tractType": one.tract_type,
        "program": one.program,
        "dataset": one.dataset,
        "onBorder": one.on_border,
        "distanceToBorderM": one.distance_to_border_m,
    }


def generations(versions: Iterable[Version]) -> Mapping[str, int]:
    """Return the generation of each program."""
    return {version.program: version.generation for version in versions}
