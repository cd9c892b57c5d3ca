"""Where many addresses lie: what is kept, a file for the rest, single questions last."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence

from django.db.utils import InterfaceError, OperationalError
from django.utils import timezone

from caches.queries.geocoding import answered
from caches.services.geocoding import answering, asking, keeping, leases
from caches.services.geocoding.addresses import Address, Parts, parts_of
from caches.services.geocoding.answering import Geocoded, Origin
from caches.services.geocoding.census import MOST_AT_ONCE
from caches.services.geocoding.replies import GeocodersUnavailable, Reply

LEAST_FOR_A_FILE = 3
"""With fewer that are new, each is asked for by itself."""


def geocode_many(
    addresses: Sequence[Address], *, deadline: float | None = None
) -> list[Geocoded | None]:
    """Return where addresses lie, in their order; None for those that nobody could tell in time.

    :param deadline: of the monotonic clock, for all of them together.
    """
    until = answering.new_deadline() if deadline is None else deadline
    asked: dict[str, Address] = {}
    for address in addresses:
        asked.setdefault(address.key, address)
    found: dict[str, Geocoded] = {}
    cache_is_there = True
    try:
        found.update(answering.served(keeping.find(asked, at=timezone.now()), asked.values()))
    except (OperationalError, InterfaceError) as error:
        answering.require_outage(error)
        cache_is_there = False
    new = {key: address for key, address in asked.items() if key not in found}
    answered("miss" if cache_is_there else "unavailable", len(new))
    if cache_is_there:
        found.update(_by_files(new, until))
    for key, address in new.items():
        if key not in found and time.monotonic() < until:
            mine = min(until, answering.new_deadline())
            one = _one(address, mine, cache_is_there=cache_is_there)
            if one is not None:
                found[key] = one
    return [found.get(address.key) for address in addresses]


def _one(address: Address, until: float, *, cache_is_there: bool) -> Geocoded | None:
    ask = answering.missed if cache_is_there else answering.without_cache
    try:
        return ask(address, deadline=until)
    except GeocodersUnavailable:
        return None


def _by_files(new: Mapping[str, Address], until: float) -> Mapping[str, Geocoded]:
    """Return what files bring of addresses whose columns can be told."""
    columns = {
        key: parts
        for key, address in new.items()
        if (parts := parts_of(address.text)) is not None
    }  # fmt: skip
    keys = list(columns)
    found: dict[str, Geocoded] = {}
    for start in range(0, len(keys), MOST_AT_ONCE):
        part = {key: columns[key] for key in keys[start : start + MOST_AT_ONCE]}
        if len(part) < LEAST_FOR_A_FILE or time.monotonic() >= until:
            break
        try:
            found.update(_by_file(part, new, until))
        except (OperationalError, InterfaceError) as error:
            answering.require_outage(error)
            break
    return found


def _by_file(
    columns: Mapping[str, Parts], new: Mapping[str, Address], until: float
) -> Mapping[str, Geocoded]:
    """Return what one file brings of those that nobody else is asking for."""
    token, taken = leases.claim(columns)
    # Somebody may have stored some between the look and the lease.
    kept = keeping.find(taken, at=timezone.now())
    asked = {key: columns[key] for key in columns if key in taken and key not in kept}
    try:
        replies = asking.ask_file(
            asked, deadline=until, hold=lambda: _hold(list(asked), token)
        )  # fmt: skip
        return {key: _kept(new[key], token, reply) for key, reply in replies.items() if reply}
    finally:
        leases.end_all(taken, token)


def _hold(keys: list[str], token: uuid.UUID) -> None:
    # What is lost meanwhile is not stored: that is looked at for each.
    leases.extend(keys, token)


def _kept(address: Address, token: uuid.UUID, reply: Reply) -> Geocoded:
    answering.keep(address, token, reply)
    return Geocoded(reply=reply, origin=Origin.MISS, checked_at=timezone.now())
