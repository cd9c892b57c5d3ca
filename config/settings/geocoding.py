"""Geocoding: who is asked where an address lies, in which order, for how long and how often."""

from __future__ import annotations

from config.settings.env import flag, integer, items, refuse, text


def _rate(entry: str) -> tuple[str, float]:
    """Return provider and questions a second of an entry such as `census=10`."""
    name, _, rate = (part.strip() for part in entry.partition("="))
    try:
        found = float(rate)
    except ValueError:
        found = 0.0
    if name not in GEOCODER_NAMES or not 0 < found <= 10_000:
        raise refuse("GEOCODER_RATES must look like census=10,nominatim=0.5.")
    return name, found


GEOCODER_NAMES = ("census", "nominatim", "google", "mapbox", "opencage")
GEOCODER_PROVIDERS = items("GEOCODER_PROVIDERS", ("census",))
"""In order of preference; "off" asks nobody."""
if GEOCODER_PROVIDERS == ["off"]:
    GEOCODER_PROVIDERS = []
if unknown := [name for name in GEOCODER_PROVIDERS if name not in GEOCODER_NAMES]:
    raise refuse(
        f"GEOCODER_PROVIDERS names {', '.join(unknown)}; known are {', '.join(GEOCODER_NAMES)}."
    )
GEOCODER_KEYS = {
    "google": text("GEOCODER_GOOGLE_KEY"),
    "mapbox": text("GEOCODER_MAPBOX_KEY"),
    "opencage": text("GEOCODER_OPENCAGE_KEY"),
}
if without_key := [name for name in GEOCODER_PROVIDERS if not GEOCODER_KEYS.get(name, "-")]:
    raise refuse(
        f"GEOCODER_PROVIDERS names {without_key[0]}, which needs "
        f"GEOCODER_{without_key[0].upper()}_KEY."
    )
GEOCODER_URLS = {
    "census": text("GEOCODER_CENSUS_URL"),
    "nominatim": text("GEOCODER_NOMINATIM_URL"),
    "google": text("GEOCODER_GOOGLE_URL"),
    "mapbox": text("GEOCODER_MAPBOX_URL"),
    "opencage": text("GEOCODER_OPENCAGE_URL"),
}
"""Scheme and host of servers of one's own; empty: the provider's public one."""
GEOCODER_ALLOW_PRIVATE = flag("GEOCODER_ALLOW_PRIVATE", default=False)
"""Whether they may lie in a private network, and be asked by plain http."""
GEOCODER_RATES = dict(_rate(entry) for entry in items("GEOCODER_RATES"))
"""Questions a second, of the whole site, where it is not the provider's usual rate."""
GEOCODER_SECONDS = integer("GEOCODER_SECONDS", 15, least=1, most=120)
"""How long one caller waits for all providers together."""
GEOCODER_CONTACT = text("GEOCODER_CONTACT")
"""An address or URL that providers see in the User-Agent; the public Nominatim wants one."""
GEOCODER_PER_MINUTE = integer("GEOCODER_PER_MINUTE", 30, least=1, most=1_000_000)
"""Addresses of one user, one by one."""
GEOCODER_PER_DAY = integer("GEOCODER_PER_DAY", 2_000, least=1, most=100_000_000)
"""Addresses of one user, those of batches too."""
