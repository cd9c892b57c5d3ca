"""The cookie of a session, and what the stores know of it: a hash, never the key."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from django.contrib.sessions.backends.base import VALID_KEY_CHARS
from django.utils.crypto import get_random_string

LENGTH: Final = 32
_COOKIE: Final = re.compile(r"([a-z0-9]{32})(?:\.([0-9]{1,9}))?")


def new_key() -> str:
    """Return a key that nobody has: 165 random bits."""
    return get_random_string(LENGTH, VALID_KEY_CHARS)


def hash_of(key: str) -> str:
    """Return what stands for `key` in PostgreSQL and Redis.

    A key is as random as the hash is long, so it needs neither salt nor many rounds.
    """
    return hashlib.sha256(key.encode()).hexdigest()


def split(cookie: str) -> tuple[str, int]:
    """Return the key in a cookie and the version of the session that its browser has seen.

    Whoever invents a version only has the primary asked for their own session; another text is
    taken as a key that does not exist.
    """
    match = _COOKIE.fullmatch(cookie)
    return (match[1], int(match[2] or 0)) if match else (cookie, 0)


def joined(key: str, version: int) -> str:
    """Return the cookie of a session."""
    return f"{key}.{version}" if version else key
