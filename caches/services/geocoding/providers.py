"""The geocoders that the settings name, in order of preference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from django.conf import settings

from caches.services.geocoding import through_geopy
from caches.services.geocoding.addresses import Address
from caches.services.geocoding.census import Census
from caches.services.geocoding.replies import Reply
from caches.services.geocoding.terms import TERMS


class Provider(Protocol):
    """Somebody who may be asked."""

    name: str

    def geocode(self, address: Address, *, seconds: float) -> Reply:
        """Return what is known. Raises ProviderFailed."""


def providers() -> Sequence[Provider]:
    """Return them; nobody where the setting is empty. Made anew, so that tests may change it."""
    return [_provider(name) for name in settings.GEOCODER_PROVIDERS]


def rate_of(name: str) -> tuple[float, int]:
    """Return how many questions a second a provider may be asked, and how many at once."""
    terms = TERMS[name]
    rate = settings.GEOCODER_RATES.get(name)
    return (terms.rate, terms.burst) if rate is None else (rate, max(1, int(rate)))


def _provider(name: str) -> Provider:
    url = settings.GEOCODER_URLS.get(name) or TERMS[name].url
    key = settings.GEOCODER_KEYS.get(name, "")
    if name == "census":
        return Census(url)
    if name == "nominatim":
        return through_geopy.nominatim(url)
    make = {
        "google": through_geopy.google,
        "mapbox": through_geopy.mapbox,
        "opencage": through_geopy.opencage,
    }[name]
    return make(url, key)
