"""Forgetting addresses: one, those of long ago, or all. Says how many, never which."""

from __future__ import annotations

import datetime as dt

from caches.services.geocoding import keeping
from caches.services.geocoding.addresses import address_of


def purge_address(text: str) -> int:
    """Forget an address and return how many rows went: 1, or 0 where it was not known.

    :raises AddressRefused: when the text is none.
    """
    return keeping.forget(key=address_of(text).key)


def purge_older(*, than: dt.datetime | None) -> int:
    """Forget what was stored before then, or everything; return how many rows went."""
    return keeping.forget_older(than=than)
