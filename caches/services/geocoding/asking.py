"""Asking the providers in order of preference, until one knows, within one time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from caches.queries.geocoding import called
from caches.services.geocoding import failing
from caches.services.geocoding.addresses import Address, Parts
from caches.services.geocoding.census import Census
from caches.services.geocoding.exchange import BEAT_SECONDS, within
from caches.services.geocoding.providers import Provider, providers, rate_of
from caches.services.geocoding.replies import (
    GeocodersUnavailable,
    ProviderFailed,
    Reply,
    Verdict,
)
from caches.services.geocoding.terms import longest_stored
from caches.stores import geocoders
from databases.transactions import give_connections_back, require_no_transaction

Found = TypeVar("Found")

SHARE: Final = 0.6
"""Of the time that is left, what a provider may take while others stand behind it."""
LEAST_SECONDS: Final = 0.05
"""With less, nobody is asked any more."""
FILE_SHARE: Final = 0.6
"""Of the time of a batch, what the file takes at most; the rest is for single questions."""
FILE_SECONDS: Final = 120.0


def ask(address: Address, *, deadline: float, hold: Callable[[], None]) -> Reply:
    """Return what the first provider that knows says.

    "No match" is believed when nobody knows better; definite, when nobody was left out.

    :param deadline: of the monotonic clock.
    :param hold: called before each question and every other second in it; may raise.
    :raises GeocodersUnavailable: when nobody gave an answer.
    """
    require_no_transaction(before="A geocoder is asked")
    nos: list[Reply] = []
    waits: list[float] = []
    order = providers()
    for provider in order:
        seconds = deadline - time.monotonic()
        if provider is not order[-1]:
            seconds *= SHARE
        reply = _turn(provider, address, seconds=seconds, hold=hold, waits=waits)
        if reply is None:
            continue
        if reply.verdict is not Verdict.NO_MATCH:
            return reply
        nos.append(reply)
    if nos:
        return _no(nos, definite=len(nos) == len(order))
    raise unavailable(waits)


def ask_file(
    asked: Mapping[str, Parts], *, deadline: float, hold: Callable[[], None]
) -> Mapping[str, Reply | None]:
    """Return what one file of addresses brings, where the preferred provider takes files.

    :returns: by the keys of `asked`; what is missing or None deserves a question of its own.
    """
    order = providers()
    if not order or not isinstance(order[0], Census) or not asked:
        return {}
    require_no_transaction(before="A geocoder is asked")
    census = order[0]
    seconds = min((deadline - time.monotonic()) * FILE_SHARE, FILE_SECONDS)
    rate, burst = rate_of(census.name)
    slot = geocoders.reserve(census.name, rate=rate, burst=burst, longest=max(0.0, seconds / 2))
    if not slot.granted or seconds < LEAST_SECONDS:
        called(census.name, "resting" if slot.resting else "busy")
        return {}
    _wait(slot.wait, hold)
    left = seconds - slot.wait
    found = _put(
        census, left, hold, lambda: census.geocode_many(asked, seconds=left), lambda _: "file"
    )
    return found or {}


def unavailable(waits: Sequence[float]) -> GeocodersUnavailable:
    """Return the refusal, with the time after which somebody may be asked again."""
    refused = GeocodersUnavailable("No geocoder could be asked, or none answered in time.")
    if waits:
        refused.retry_after = max(1, min(300, round(min(waits) + 0.5)))
    return refused


def _turn(
    provider: Provider,
    address: Address,
    *,
    seconds: float,
    hold: Callable[[], None],
    waits: list[float],
) -> Reply | None:
    """Return what a provider says; None when it cannot be asked now, or fails."""
    if seconds < LEAST_SECONDS:
        return None
    rate, burst = rate_of(provider.name)
    slot = geocoders.reserve(provider.name, rate=rate, burst=burst, longest=seconds / 2)
    if not slot.granted:
        called(provider.name, "resting" if slot.resting else "busy")
        waits.append(slot.wait)
        return None
    _wait(slot.wait, hold)
    left = seconds - slot.wait
    return _put(
        provider,
        left,
        hold,
        lambda: provider.geocode(address, seconds=left),
        lambda reply: reply.verdict.value,
    )


def _put(
    provider: Provider,
    seconds: float,
    hold: Callable[[], None],
    question: Callable[[], Found],
    outcome: Callable[[Found], str],
) -> Found | None:

    def beat() -> None:
        hold()
        give_connections_back()

    begun = time.monotonic()
    try:
        found = within(seconds, question, beat=beat)
    except ProviderFailed as error:
        called(provider.name, error.failure.value, seconds=time.monotonic() - begun)
        failing.failed(provider.name, error, seconds=seconds)
        return None
    called(provider.name, outcome(found), seconds=time.monotonic() - begun)
    failing.succeeded(provider.name)
    return found


def _wait(seconds: float, hold: Callable[[], None]) -> None:
    """Wait for a slot, and hold the lease meanwhile, but no connection."""
    hold()
    give_connections_back()
    while seconds > BEAT_SECONDS:
        time.sleep(BEAT_SECONDS)
        seconds -= BEAT_SECONDS
        hold()
        give_connections_back()
    time.sleep(seconds)


def _no(nos: Sequence[Reply], *, definite: bool) -> Reply:
    """Return the common no, in the name of the one whose terms are the strictest."""
    strictest = min(nos, key=lambda no: longest_stored(no.provider))
    return Reply(verdict=Verdict.NO_MATCH, provider=strictest.provider, definite=definite)
