"""Where a session was begun: enough to recognise one's own, and no more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest

from common.middleware.proxies import parse_address

_BROWSERS: Final = (
    ("Edge", r"Edg(?:e|A|iOS)?/"),
    ("Opera", r"OPR/|Opera"),
    ("Samsung Internet", r"SamsungBrowser/"),
    ("Firefox", r"Firefox/|FxiOS/"),
    ("Chrome", r"Chrome/|CriOS/|Chromium/"),
    ("Safari", r"Safari/"),
)
_SYSTEMS: Final = (
    ("iPhone", r"iPhone"),
    ("iPad", r"iPad"),
    ("Android", r"Android"),
    ("Windows", r"Windows"),
    ("macOS", r"Mac OS X|Macintosh"),
    ("ChromeOS", r"CrOS"),
    ("Linux", r"Linux"),
)
_PROGRAM: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,29}(?=/|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The columns of a session that say where it was begun."""

    device: str
    network: str


def device_of(user_agent: str) -> str:
    """Return "Firefox on Linux" for a browser, "curl" for a program, "" for what says nothing."""
    browser, system = _first(_BROWSERS, user_agent), _first(_SYSTEMS, user_agent)
    if browser or system:
        return " on ".join(part for part in (browser, system) if part)
    program = _PROGRAM.match(user_agent)
    return program[0] if program else ""


def network_of(address: str) -> str:
    """Return the network that an address lies in: what tells places apart, not people."""
    parsed = parse_address(address)
    if parsed is None:
        return ""
    return str(ip_network(f"{parsed}/{24 if parsed.version == 4 else 48}", strict=False))


def connect() -> None:
    """Have each sign-in noted in its session."""
    user_logged_in.connect(_note, dispatch_uid="accounts.sessions.origin")


def _note(request: HttpRequest | None = None, **_: Any) -> None:
    session: Any = getattr(request, "session", None)
    if request is None or not hasattr(session, "origin"):
        return
    # REMOTE_ADDR is the believed address: see common.middleware.proxies.
    session.origin = Origin(
        device=device_of(request.headers.get("User-Agent", "")[:500]),
        network=network_of(request.META.get("REMOTE_ADDR", "")),
    )


def _first(known: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for name, mark in known if re.search(mark, user_agent)), "")
