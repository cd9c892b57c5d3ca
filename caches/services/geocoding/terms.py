"""What each geocoder asks of those who use it: the one table of rates, storage and attribution.

The terms are those that the providers publish; whoever has a contract of their own changes the rate
by GEOCODER_RATES. What may not be stored is told to the caller and forgotten.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for one provider."""

    name: str
    url: str
    """Where the public service is."""
    rate: float
    """Questions a second, of the whole site."""
    burst: int
    """Questions at once after a quiet time."""
    stored_for: dt.timedelta | None
    """How long an answer may be kept; None: as long as we like, zero: not at all."""
    attribution: str
    """What must be shown beside an answer."""
    attribution_url: str
    note: str
    """What else an operator must know before choosing it."""


TERMS: Final[Mapping[str, Terms]] = MappingProxyType(
    {
        terms.name: terms
        for terms in (
            Terms(
                name="census",
                url="https://geocoding.geo.census.gov",
                rate=5,
                burst=10,
                stored_for=None,
                attribution="U.S. Census Bureau Geocoder",
                attribution_url="https://geocoding.geo.census.gov/",
                note="Public domain, no key. United States only; often takes several seconds.",
            ),
            Terms(
                name="nominatim",
                url="https://nominatim.openstreetmap.org",
                rate=1,
                burst=1,
                stored_for=None,
                attribution="© OpenStreetMap contributors",
                attribution_url="https://www.openstreetmap.org/copyright",
                note="The public server: one question a second for the whole site, no bulk, "
                "GEOCODER_CONTACT. For more, a server of your own (GEOCODER_NOMINATIM_URL).",
            ),
            Terms(
                name="google",
                url="https://maps.googleapis.com",
                rate=25,
                burst=25,
                stored_for=dt.timedelta(days=30),
                attribution="Google Maps",
                attribution_url="https://cloud.google.com/maps-platform/terms",
                note="Key and billing. Coordinates may be kept for 30 days; results may not be "
                "shown on maps of others.",
            ),
            Terms(
                name="mapbox",
                url="https://api.mapbox.com",
                rate=10,
                burst=10,
                stored_for=dt.timedelta(0),
                attribution="© Mapbox © OpenStreetMap contributors",
                attribution_url="https://www.mapbox.com/about/maps/",
                note="Key. Temporary results may not be stored at all.",
            ),
            Terms(
                name="opencage",
                url="https://api.opencagedata.com",
                rate=1,
                burst=1,
                stored_for=None,
                attribution="© OpenStreetMap contributors, through OpenCage",
                attribution_url="https://opencagedata.com/credits",
                note="Key. One question a second and 2,500 a day without payment.",
            ),
        )
    }
)


def longest_stored(name: str) -> dt.timedelta:
    """Return how long answers of a provider may be kept."""
    stored_for = TERMS[name].stored_for
    return dt.timedelta.max if stored_for is None else stored_for
