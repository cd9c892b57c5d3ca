"""What a geocoder may say about an address, and how it may fail."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from common.errors import PolystoreError


class Verdict(StrEnum):
    """What is known about an address."""

    MATCH = "match"
    NO_MATCH = "no_match"
    AMBIGUOUS = "ambiguous"
    """Several places fit; the address needs more words."""


class Quality(StrEnum):
    """How near the point is to the address."""

    ROOFTOP = "rooftop"
    INTERPOLATED = "interpolated"
    """Between the ends of the block."""
    STREET = "street"
    AREA = "area"
    """A town, a ZIP code, or a guess: says nothing about a zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A point that stands for an address."""

    lat: float = field(repr=False)
    lon: float = field(repr=False)
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What was found."""

    verdict: Verdict
    provider: str = ""
    place: Place | None = None
    definite: bool = True
    """Whether it may be kept: for a no, that nobody who could know was left out."""


class Failure(StrEnum):
    """Why a provider gave no answer. Nothing of it is ever kept."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    QUOTA = "quota"
    PARTIAL = "partial"
    """The answer broke off, or lacks what it must have."""
    REFUSED = "refused"
    """The key was refused."""
    QUESTION = "question"
    """The question was: another one may be answered."""


class ProviderFailed(Exception):
    """A provider gave no answer. Says neither what was asked nor what came back."""

    def __init__(self, failure: Failure, *, retry_after: float | None = None) -> None:
        """Name the kind, and when the provider said that it may be asked again."""
        super().__init__(failure.value)
        self.failure = failure
        self.retry_after = retry_after


class GeocodersUnavailable(PolystoreError):
    """No provider could say where the address lies, or none had a moment for it."""

    code, status, title = "caches.geocoders_unavailable", 503, "No geocoder answers"
    remedy = "Try again after the time in Retry-After, or ask about a point."
    retry_after = 5


def place_of(lat: object, lon: object, quality: Quality) -> Place:
    """Return a checked point.

    :raises ProviderFailed: when the numbers are none, or no coordinates.
    """
    try:
        found = (float(str(lat)), float(str(lon)))
    except ValueError:
        raise ProviderFailed(Failure.PARTIAL) from None
    if not all(map(math.isfinite, found)) or abs(found[0]) > 90 or abs(found[1]) > 180:
        raise ProviderFailed(Failure.PARTIAL)
    return Place(lat=round(found[0], 7), lon=round(found[1], 7), quality=quality)
