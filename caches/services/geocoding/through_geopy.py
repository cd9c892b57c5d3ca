"""Nominatim and geocoders with keys, through geopy: it knows their formats.

It asks through our client, so that the same guards hold, and gets to see whole answers only: some
of its readers take half of one for "no match". Its log is off: it writes addresses and keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from geopy import exc
from geopy.adapters import BaseSyncAdapter
from geopy.geocoders import GoogleV3, MapBox, Nominatim, OpenCage
from geopy.util import logger as geopy_logger

from caches.services.geocoding.addresses import Address
from caches.services.geocoding.exchange import as_json, ask, require_success, user_agent
from caches.services.geocoding.replies import (
    Failure,
    ProviderFailed,
    Quality,
    Reply,
    Verdict,
    place_of,
)

# It writes addresses and keys. Whoever configures logging anew would undo `disabled`.
geopy_logger.addFilter(lambda _record: False)

Raw = Mapping[str, Any]

_FAILURES: Final[tuple[tuple[type[Exception], Failure], ...]] = (
    (exc.GeocoderQuotaExceeded, Failure.QUOTA),
    (exc.GeocoderTimedOut, Failure.TIMEOUT),
    (exc.GeocoderParseError, Failure.PARTIAL),
    (exc.GeocoderUnavailable, Failure.UNREACHABLE),
    (exc.GeocoderAuthenticationFailure, Failure.REFUSED),
    (exc.GeocoderInsufficientPrivileges, Failure.REFUSED),
    (exc.GeocoderQueryError, Failure.QUESTION),
)


class _Guarded(BaseSyncAdapter):  # type: ignore[misc]  # geopy has no types
    """Gets JSON by our client; what is not whole is no answer."""

    def __init__(self, *, is_whole: Callable[[Any], bool]) -> None:
        super().__init__(proxies={}, ssl_context=None)
        self._is_whole = is_whole

    def get_json(self, url: str, *, timeout: float, headers: Mapping[str, str]) -> Any:
        """Return a whole answer. Raises ProviderFailed."""
        answer = ask(url, seconds=timeout, headers=headers)
        require_success(answer)
        found = as_json(answer)
        if not self._is_whole(found):
            raise ProviderFailed(Failure.PARTIAL)
        return found

    def get_text(self, url: str, *, timeout: float, headers: Mapping[str, str]) -> str:
        """Say no: every geocoder here speaks JSON."""
        raise ProviderFailed(Failure.REFUSED)


class ThroughGeopy:
    """Asks one of geopy's geocoders."""

    def __init__(
        self, name: str, make: Callable[..., Any], *, is_whole: Callable[[Any], bool],
        quality: Callable[[Raw], Quality], options: Mapping[str, object] | None = None,
    ) -> None:  # fmt: skip
        """Ask the geocoder that `make` returns.

        :param is_whole: tells whether an answer has all that an answer has.
        :param quality: tells from a result how near it is.
        :param options: of its questions.
        """
        self.name = name
        self._make = make
        self._is_whole = is_whole
        self._quality = quality
        self._options = dict(options or {})

    def geocode(self, address: Address, *, seconds: float) -> Reply:
        """Return what is known of an address.

        :raises ProviderFailed: when there is no whole answer.
        """
        try:
            geocoder = self._make(
                user_agent=user_agent(),
                adapter_factory=lambda **_: _Guarded(is_whole=self._is_whole),
            )
            found = geocoder.geocode(address.text, timeout=seconds, **self._options)
            if found is None:
                return Reply(verdict=Verdict.NO_MATCH, provider=self.name)
            place = place_of(found.latitude, found.longitude, self._quality(found.raw))
        except exc.GeopyError as error:
            # What geopy says may repeat the question.
            kind = next((one for known, one in _FAILURES if isinstance(error, known)), None)
            raise ProviderFailed(kind or Failure.UNREACHABLE) from None
        except (AttributeError, KeyError, IndexError, TypeError, ValueError):
            raise ProviderFailed(Failure.PARTIAL) from None
        return Reply(verdict=Verdict.MATCH, provider=self.name, place=place)


def _where(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {"scheme": parts.scheme, "domain": f"{parts.netloc}{parts.path}".rstrip("/")}


def nominatim(url: str) -> ThroughGeopy:
    """Return Nominatim at `url`."""
    return ThroughGeopy(
        "nominatim",
        lambda **options: Nominatim(**_where(url), **options),
        is_whole=lambda found: (
            isinstance(found, list)
            and all(isinstance(one, dict) and "lat" in one and "lon" in one for one in found)
        ),
        quality=_of_nominatim,
        options={"country_codes": "us,pr,vi,gu,as,mp"},
    )


def google(url: str, key: str) -> ThroughGeopy:
    """Return Google's geocoder."""
    return ThroughGeopy(
        "google",
        lambda **options: GoogleV3(api_key=key, **_where(url), **options),
        is_whole=lambda found: (
            isinstance(found, dict)
            and isinstance(found.get("status"), str)
            and isinstance(found.get("results"), list)
            and bool(found["results"]) == (found["status"] == "OK")
        ),
        quality=_of_google,
        options={"region": "us"},
    )


def mapbox(url: str, key: str) -> ThroughGeopy:
    """Return Mapbox."""
    return ThroughGeopy(
        "mapbox",
        lambda **options: MapBox(api_key=key, **_where(url), **options),
        is_whole=lambda found: isinstance(found, dict) and isinstance(found.get("features"), list),
        quality=_of_mapbox,
        options={"country": "us"},
    )


def opencage(url: str, key: str) -> ThroughGeopy:
    """Return OpenCage."""
    return ThroughGeopy(
        "opencage",
        lambda **options: OpenCage(api_key=key, **_where(url), **options),
        is_whole=lambda found: (
            isinstance(found, dict)
            and isinstance(found.get("results"), list)
            and found.get("total_results") == len(found["results"])
            and isinstance(found.get("status"), dict)
            and {"code", "message"} <= found["status"].keys()
        ),
        quality=_of_opencage,
        options={"country": "us", "annotations": False},
    )


def _of_nominatim(raw: Raw) -> Quality:
    rank = raw.get("place_rank")
    if raw.get("class") in {"building", "place"} and raw.get("type") in {"house", "yes"}:
        return Quality.ROOFTOP
    if not isinstance(rank, int):
        return Quality.STREET if raw.get("class") == "highway" else Quality.AREA
    if rank >= 30:
        return Quality.ROOFTOP
    return Quality.STREET if rank >= 26 else Quality.AREA


def _of_google(raw: Raw) -> Quality:
    if raw.get("partial_match"):
        return Quality.AREA
    return {
        "ROOFTOP": Quality.ROOFTOP,
        "RANGE_INTERPOLATED": Quality.INTERPOLATED,
        "GEOMETRIC_CENTER": Quality.STREET if "route" in raw.get("types", ()) else Quality.AREA,
    }.get(str(raw["geometry"].get("location_type")), Quality.AREA)


def _of_mapbox(raw: Raw) -> Quality:
    if "address" not in raw.get("place_type", ()) or float(raw.get("relevance", 0)) < 0.8:
        return Quality.AREA
    return {
        "rooftop": Quality.ROOFTOP,
        "parcel": Quality.ROOFTOP,
        "point": Quality.ROOFTOP,
        "interpolated": Quality.INTERPOLATED,
    }.get(str(raw.get("properties", {}).get("accuracy")), Quality.STREET)


def _of_opencage(raw: Raw) -> Quality:
    kind = raw.get("components", {}).get("_type")
    if kind in {"building", "house"} or "house_number" in raw.get("components", {}):
        return Quality.ROOFTOP
    return Quality.STREET if kind == "road" else Quality.AREA
