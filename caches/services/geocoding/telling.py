"""What is told of an address: never the address itself."""

from __future__ import annotations

import datetime as dt
from typing import Final

from caches.queries.answers import Answer, Result
from caches.queries.points import Point
from caches.services import answering
from caches.services.geocoding.answering import Geocoded
from caches.services.geocoding.replies import Quality, Verdict
from caches.services.geocoding.terms import TERMS

RESULTS: Final = {
    Verdict.MATCH: "match",
    Verdict.NO_MATCH: "noMatch",
    Verdict.AMBIGUOUS: "ambiguous",
}


def wire(found: Geocoded | None) -> dict[str, object]:
    """Return the members of an answer about an address; None: nobody could tell."""
    place = found.reply.place if found else None
    terms = TERMS.get(found.reply.provider) if found else None
    return {
        "result": RESULTS[found.reply.verdict] if found else "failed",
        "lat": place.lat if place else None,
        "lon": place.lon if place else None,
        "quality": place.quality.value if place else None,
        "provider": terms.name if terms else None,
        "attribution": terms.attribution if terms else None,
        "attributionUrl": terms.attribution_url if terms else None,
        "cache": found.origin.value if found else None,
        "checkedAt": found.checked_at.isoformat() if found else None,
    }


def point_of(found: Geocoded | None) -> Point | None:
    """Return the point that stands for an address closely enough to ask about zones."""
    place = found.reply.place if found else None
    if place is None or place.quality is Quality.AREA:
        return None
    return Point(lat=place.lat, lon=place.lon)


def check(found: Geocoded | None, as_of: dt.date, program: str | None) -> Answer:
    """Return whether an address lies in a zone: unknown where its point is not known well enough.

    :raises django.db.OperationalError: when neither memory nor database nor source answers.
    """
    point = point_of(found)
    return unknown(as_of) if point is None else answering.check(point, as_of, program)


def unknown(as_of: dt.date) -> Answer:
    """Return the answer about an address whose place is not known."""
    return Answer(
        result=Result.UNKNOWN,
        tract=None,
        matches=(),
        program=None,
        dataset=None,
        resolution=None,
        as_of=as_of,
        sample=False,
        distance_to_border_m=None,
    )
