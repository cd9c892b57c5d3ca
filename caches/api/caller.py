"""Who asks about addresses, and how many they may: the site is no open way to its geocoders."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest

from common.access import Access, Kind, Scope, SignInNeeded, admit, user_of
from common.errors import PolystoreError
from databases.stores.limits import wait_for

ADDRESSES: Final = Access(kind=Kind.SIGNED_IN, scope=Scope.ZONES_READ)
MINUTE: Final = 60
DAY: Final = 86_400


class TooManyAddresses(PolystoreError):
    """The caller asks about more addresses than is allowed."""

    code, status, title = "caches.too_many_addresses", 429, "Too many addresses"
    remedy = "Wait for the time in Retry-After."


def allow_addresses(request: HttpRequest, *, count: int = 1, batch: bool = False) -> UUID:
    """Let a user ask about so many addresses, count them, and return the user's id.

    :raises SignInNeeded: 401, as `admit` does.
    :raises UserNeeded: 403, for machines.
    :raises TooManyAddresses: 429.
    """
    identity = admit(request, ADDRESSES)
    if identity is None:
        raise SignInNeeded
    user_id: UUID = user_of(identity).pk
    if not batch:
        _limit("minute", user_id, settings.GEOCODER_PER_MINUTE, MINUTE, count)
    _limit("day", user_id, settings.GEOCODER_PER_DAY, DAY, count)
    return user_id


def _limit(what: str, user_id: UUID, most: int, seconds: int, count: int) -> None:
    wait = wait_for(f"geocode.{what}:{user_id}", limit=most, seconds=seconds, acts=count)
    if wait:
        refused = TooManyAddresses(f"At most {most} addresses a {what} are allowed.")
        refused.retry_after = wait
        raise refused
