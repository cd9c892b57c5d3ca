"""How geocoding does: what the cache saved, what providers were asked, and which of them rest."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.utils import timezone
from prometheus_client import Counter, Histogram

from caches.stores import geocoders

ANSWERS: Final = Counter(
    "polystore_geocode_answers",
    "Addresses that were asked about, by what the cache had: fresh, stale, negative, miss, or "
    "unavailable.",
    ["outcome"],
)
CALLS: Final = Counter(
    "polystore_geocoder_calls",
    "Questions to providers by their outcome; resting and busy: it was not asked.",
    ["provider", "outcome"],
)
SECONDS: Final = Histogram(
    "polystore_geocoder_seconds",
    "Time of questions to providers.",
    ["provider"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0),
)
HITS: Final = ("fresh", "stale", "negative")
NOT_ASKED: Final = frozenset({"resting", "busy"})
ANSWERED: Final = frozenset({"match", "no_match", "ambiguous", "file"})
DAYS: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFigures:
    """What became of the questions to one provider."""

    name: str
    calls: int
    errors: int
    not_asked: int
    """It rested, or had no moment in time."""
    mean_ms: float | None
    resting_seconds: float
    """For how long nobody asks it, after failures or a used up quota."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeocodingFigures:
    """The figures of the last days, of all processes."""

    days: int
    counted: bool
    """False while Redis, which counts, is away."""
    fresh: int
    stale: int
    negative: int
    miss: int
    unavailable: int
    hit_rate: float | None
    providers: Sequence[ProviderFigures]


def answered(outcome: str, times: int = 1) -> None:
    """Count addresses by what the cache had for them."""
    if times:
        ANSWERS.labels(outcome).inc(times)
        geocoders.count(_today(), {f"answers:{outcome}": times})


def called(provider: str, outcome: str, *, seconds: float | None = None) -> None:
    """Count a question to a provider, or that it was not asked."""
    CALLS.labels(provider, outcome).inc()
    counts = {f"calls:{provider}:{outcome}": 1}
    if seconds is not None:
        SECONDS.labels(provider).observe(seconds)
        counts[f"ms:{provider}"] = round(seconds * 1000)
    geocoders.count(_today(), counts)


def geocoding_figures(*, days: int = DAYS) -> GeocodingFigures:
    """Return the figures of today and the days before."""
    today = _today()
    found = geocoders.figures([today - dt.timedelta(days=back) for back in range(days)])
    counts = found or {}
    answers = {
        outcome: counts.get(f"answers:{outcome}", 0) for outcome in (*HITS, "miss", "unavailable")
    }
    asked = sum(answers[outcome] for outcome in (*HITS, "miss"))
    hits = sum(answers[outcome] for outcome in HITS)
    resting = geocoders.rests(list(settings.GEOCODER_PROVIDERS))
    return GeocodingFigures(
        days=days,
        counted=found is not None,
        **answers,
        hit_rate=round(hits / asked, 4) if asked else None,
        providers=tuple(
            _of(name, counts, resting.get(name, 0.0)) for name in settings.GEOCODER_PROVIDERS
        ),
    )


def _of(name: str, counts: Mapping[str, int], resting: float) -> ProviderFigures:
    prefix = f"calls:{name}:"
    outcomes = {
        figure.removeprefix(prefix): count
        for figure, count in counts.items()
        if figure.startswith(prefix)
    }
    calls = sum(count for outcome, count in outcomes.items() if outcome not in NOT_ASKED)
    good = sum(count for outcome, count in outcomes.items() if outcome in ANSWERED)
    return ProviderFigures(
        name=name,
        calls=calls,
        errors=calls - good,
        not_asked=sum(outcomes.values()) - calls,
        mean_ms=round(counts.get(f"ms:{name}", 0) / calls, 1) if calls else None,
        resting_seconds=round(resting, 1),
    )


def _today() -> dt.date:
    return timezone.now().date()
