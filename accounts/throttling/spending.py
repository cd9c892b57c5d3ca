"""Let somebody try, or say how long to wait."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from django.conf import settings
from django.http import HttpRequest

from accounts import events
from accounts.throttling import counting
from accounts.throttling.counting import Counter, ThrottleMisconfigured
from accounts.throttling.rules import Rule
from common.errors import PolystoreError
from common.failures import is_unavailability
from databases.transactions import atomic_for

_PREFIX: Final = "polystore:throttle"
_HOUSEHOLD: Final = 64
"""Bits of an IPv6 address that one customer of a provider has; the rest they choose freely."""


class TooManyAttempts(PolystoreError):
    """Too many tries, from this device or for this account. The same for accounts that exist."""

    code, status, title = "accounts.too_many_attempts", 429, "Too many attempts"
    remedy = "Wait for the time in Retry-After, then try again."


@dataclass(frozen=True, slots=True)
class Spent:
    """A try that was counted."""

    counters: tuple[Counter, ...]

    def give_back(self) -> None:
        """Count it no longer: it succeeded."""
        counting.give_back(list(self.counters))

    @contextmanager
    def unless_a_store_is_away(self) -> Iterator[None]:
        """Count no try that nobody could judge: who waits for a store must not wait for us, too."""
        try:
            yield
        except Exception as error:
            if is_unavailability(error):
                self.give_back()
            raise


def spend(rule: Rule, *, client: str, account: object = "") -> Spent:
    """Count a try before it is made, so that tries at the same time count, too.

    :param client: the address of the device (`client_of`); "" counts for nobody.
    :param account: what names the account: an address as it was typed, whether it is known or
        not, or a user's id; "" counts for nobody.
    :raises TooManyAttempts: with the seconds to wait.
    """
    limits = settings.ACCOUNT_THROTTLES.get(str(rule))
    if limits is None:
        raise ThrottleMisconfigured(f"ACCOUNT_THROTTLES has no limits for {rule}.")
    asked = [
        (Counter(key=_key(rule, side, text), seconds=seconds), most)
        for side, text, (most, seconds) in zip(
            ("client", "account"), (_household(client), str(account)), limits, strict=True
        )
        if text
    ]
    if not asked:
        return Spent(())
    counts = counting.count([counter for counter, _ in asked])
    waits = [
        found.left for found, (_, most) in zip(counts, asked, strict=True) if found.times > most
    ]
    if waits:
        if any(found.times == most + 1 for found, (_, most) in zip(counts, asked, strict=True)):
            _tell(rule, client, str(account))
        refused = TooManyAttempts(_in_words(max(waits)))
        refused.retry_after = max(1, math.ceil(max(waits)))
        raise refused
    return Spent(tuple(counter for counter, _ in asked))


def client_of(request: HttpRequest | None) -> str:
    """Return the address of the device; `TrustedProxies` has seen to it that it can be believed."""
    return str(request.META.get("REMOTE_ADDR", "")) if request is not None else ""


def origin_of(request: HttpRequest) -> str:
    """Return scheme and host for links in letters; the host is one of ALLOWED_HOSTS."""
    return request.build_absolute_uri("/").rstrip("/")


def _key(rule: Rule, side: str, text: str) -> str:
    # Neither addresses of devices nor of people stand in Redis.
    return f"{_PREFIX}:{rule}:{side}:{events.fingerprint(text)}"


def _household(client: str) -> str:
    try:
        address = ip_address(client)
    except ValueError:
        return client
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _HOUSEHOLD), strict=False))
    return client


def _tell(rule: Rule, client: str, account: str) -> None:
    """Have it recorded that a limit was reached: once, not for every try beyond it."""
    with atomic_for("accounts"):
        events.tell(
            events.THROTTLED,
            user_id=None,
            client=client,
            kind=str(rule),
            tried=events.fingerprint(account),
        )


def _in_words(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    wait = "a minute" if minutes <= 1 else f"{minutes} minutes"
    return f"There were too many attempts. Try again in {wait}."
