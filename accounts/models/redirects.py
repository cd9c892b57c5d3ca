"""Which addresses a code may be sent to."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urlsplit

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def scheme_of(address: str) -> str:
    """Return the scheme, in small letters."""
    return urlsplit(address).scheme


def refuse_redirect_uri(address: str) -> str:
    """Return why a code must not be sent to `address`, or "".

    Allowed are https, http to the same machine (RFC 8252, 7.3), and the private schemes of native
    apps, which hold a dot (RFC 8252, 7.1).
    """
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return f"{address} is no address."
    if not address.isascii() or any(sign in address for sign in "*\\"):
        return f"{address} holds a character that an address must not have; write it out in full."
    if "#" in address or "@" in parts.netloc:
        return f"{address} has a fragment (#), where a code would be lost, or a user name."
    if not _may_receive(parts):
        return (
            f"{address} must begin with https://, http://127.0.0.1 or an app's scheme with a dot."
        )
    return ""


def _may_receive(parts: SplitResult) -> bool:
    if parts.scheme in {"http", "https"}:
        return bool(parts.hostname) and (parts.scheme == "https" or parts.hostname in LOOPBACK)
    return "." in parts.scheme and parts.path.startswith("/")
