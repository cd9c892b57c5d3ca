"""Where an address lies: what is kept, at once; else what a provider says, asked once.

fresh          served
stale          served, while one process asks again in the background
a miss         whoever comes first asks, in this process (`flights`) and in all (`leases`)
no `cache`     the provider is asked, within its limits, and nothing is kept
"""

from __future__ import annotations

import datetime as dt
import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeVar

from django.conf import settings
from django.db.utils import InterfaceError, OperationalError
from django.utils import timezone

from caches.queries.geocoding import answered
from caches.services.geocoding import asking, keeping, leases, refreshing
from caches.services.geocoding.addresses import Address
from caches.services.geocoding.flights import Flights
from caches.services.geocoding.keeping import Kept
from caches.services.geocoding.replies import GeocodersUnavailable, Reply, Verdict
from databases import causality, placement
from databases.fallback import is_outage
from databases.transactions import give_connections_back

Found = TypeVar("Found")

APP: Final = "caches"
FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.2
"""Seconds between two looks at the lease of another process."""
FAILED: Final = "failed"


class Origin(StrEnum):
    """What an answer comes from."""

    FRESH = "fresh"
    STALE = "stale"
    MISS = "miss"
    UNAVAILABLE = "unavailable"
    """The cache could not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Geocoded:
    """What is known of an address, and since when."""

    reply: Reply
    origin: Origin
    checked_at: dt.datetime


class _LeaseLost(Exception):
    """Somebody else took the lease over: this process slept too long."""


def _too_late() -> GeocodersUnavailable:
    return GeocodersUnavailable("No geocoder answered in time.")


_flights: Final[Flights[Geocoded]] = Flights(_too_late)


def new_deadline() -> float:
    """Return the moment until which a caller waits who comes now."""
    return time.monotonic() + settings.GEOCODER_SECONDS


def geocode(address: Address, *, deadline: float | None = None) -> Geocoded:
    """Return where an address lies.

    :raises GeocodersUnavailable: when nothing is kept and nobody answers in time.
    """
    until = new_deadline() if deadline is None else deadline
    try:
        found = served(keeping.find([address.key], at=timezone.now()), [address])
    except (OperationalError, InterfaceError) as error:
        require_outage(error)
        answered("unavailable")
        return without_cache(address, deadline=until)
    if found:
        return found[address.key]
    answered("miss")
    return missed(address, deadline=until)


def served(kept: Mapping[str, Kept], asked: Iterable[Address]) -> Mapping[str, Geocoded]:
    """Return what is kept as it is served, count it, and have stale ones asked for again."""
    found: dict[str, Geocoded] = {}
    for address in asked:
        one = kept.get(address.key)
        if one is None or address.key in found:
            continue
        if not one.fresh:
            refreshing.begin(address, refresh)
        found[address.key] = Geocoded(
            reply=one.reply,
            origin=Origin.FRESH if one.fresh else Origin.STALE,
            checked_at=one.stored_at,
        )
    outcomes = [_outcome(one) for one in found.values()]
    for outcome in set(outcomes):
        answered(outcome, outcomes.count(outcome))
    return found


def missed(address: Address, *, deadline: float) -> Geocoded:
    """Return what a provider says of an address of which nothing is kept.

    :raises GeocodersUnavailable: when nobody answers in time.
    """
    found = _flights.fly(
        address.key, lambda: _in_turn(address, deadline=deadline), deadline=deadline
    )
    if found.origin is Origin.UNAVAILABLE:
        _say_degraded()
    return found


def without_cache(address: Address, *, deadline: float) -> Geocoded:
    """Return what a provider says, and keep nothing.

    :raises GeocodersUnavailable: when nobody answers in time.
    """
    found = _flights.fly(address.key, lambda: _asked(address, deadline), deadline=deadline)
    _say_degraded()
    return found


def refresh(address: Address) -> None:
    """Ask again for an address that is stale, unless somebody is doing so.

    :raises GeocodersUnavailable: when nobody answers; what is kept stays.
    :raises django.db.OperationalError: when the cache does not answer.
    """
    deadline = new_deadline()
    token, taken = leases.claim([address.key])
    if not taken:
        return
    kept = keeping.find([address.key], at=timezone.now()).get(address.key)
    if kept is not None and kept.fresh:
        leases.end(address.key, token)
        return
    with suppress(_LeaseLost):
        ask_and_keep(address, token, deadline=deadline)


def ask_and_keep(address: Address, token: uuid.UUID, *, deadline: float) -> Geocoded:
    """Ask the providers under a lease, keep what may be kept, and end the lease.

    :raises GeocodersUnavailable: when nobody answers in time; the lease is ended.
    :raises _LeaseLost: when the lease is somebody else's by now.
    """

    def hold() -> None:
        if _or_none(lambda: leases.extend([address.key], token)) == 0:
            raise _LeaseLost

    try:
        reply = asking.ask(address, deadline=deadline, hold=hold)
    except GeocodersUnavailable:
        _or_none(lambda: leases.end(address.key, token, outcome=FAILED))
        raise
    keep(address, token, reply)
    return Geocoded(reply=reply, origin=Origin.MISS, checked_at=timezone.now())


def keep(address: Address, token: uuid.UUID, reply: Reply) -> None:
    """Keep a reply where it may be kept, and end the lease; a cache that is down keeps nothing."""
    if keeping.may_keep(reply):
        _or_none(lambda: keeping.store(address.key, token, reply, at=timezone.now()))
        return
    told = "" if reply.verdict is Verdict.MATCH else reply.verdict.value
    _or_none(lambda: leases.end(address.key, token, outcome=told))


def require_outage(error: Exception) -> None:
    """Return where `error` says that the cache is down, and note it; raise anything else."""
    if not is_outage(error):
        raise error
    _say_degraded()


def _in_turn(address: Address, *, deadline: float) -> Geocoded:
    """Ask under a lease, or wait for the process that holds it."""
    pause, waited_for = FIRST_PAUSE, None
    try:
        while True:
            found = _claimed(address, deadline)
            if found is not None:
                return found
            seen = leases.look(address.key)
            while seen is not None and not seen.ended:
                waited_for = seen.token
                if time.monotonic() + pause > deadline:
                    raise _too_late()
                give_connections_back()
                time.sleep(pause * random.uniform(0.7, 1.3))
                pause = min(LONGEST_PAUSE, pause * 1.5)
                seen = leases.look(address.key)
            if seen is not None and seen.token == waited_for and seen.outcome:
                return _told(seen.outcome)
    except (OperationalError, InterfaceError) as error:
        require_outage(error)
        return _asked(address, deadline)


def _claimed(address: Address, deadline: float) -> Geocoded | None:
    """Return what is kept by now, or what providers say; None while somebody else is asking."""
    token, taken = leases.claim([address.key])
    # Whoever asked before has stored before the lease ended, so this look is not too early.
    kept = keeping.find([address.key], at=timezone.now()).get(address.key)
    if kept is not None:
        if taken:
            leases.end(address.key, token)
        return Geocoded(reply=kept.reply, origin=Origin.MISS, checked_at=kept.stored_at)
    if not taken:
        return None
    try:
        return ask_and_keep(address, token, deadline=deadline)
    except _LeaseLost:
        return None


def _told(outcome: str) -> Geocoded:
    """Return what became of the question of another process, of which nothing was stored."""
    if outcome == FAILED:
        raise _too_late()
    reply = Reply(verdict=Verdict(outcome), definite=False)
    return Geocoded(reply=reply, origin=Origin.MISS, checked_at=timezone.now())


def _asked(address: Address, deadline: float) -> Geocoded:
    reply = asking.ask(address, deadline=deadline, hold=lambda: None)
    return Geocoded(
        reply=replace(reply, definite=False),
        origin=Origin.UNAVAILABLE,
        checked_at=timezone.now(),
    )


def _outcome(found: Geocoded) -> str:
    if found.origin is Origin.STALE:
        return "stale"
    return "fresh" if found.reply.verdict is Verdict.MATCH else "negative"


def _or_none(deed: Callable[[], Found]) -> Found | None:
    """Return what `deed` returns, or None where the cache is down: callers are answered anyway."""
    try:
        return deed()
    except (OperationalError, InterfaceError) as error:
        require_outage(error)
        return None


def _say_degraded() -> None:
    state = causality.current()
    if state is not None:
        state.degraded.add(placement.alias_of(APP))
