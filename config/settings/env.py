"""Values from the environment, refused by name when they are malformed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from django.core.exceptions import ImproperlyConfigured


def refuse(message: str) -> ImproperlyConfigured:
    """Return the error that stops the start with `message`."""
    return ImproperlyConfigured(message)


def text(name: str, default: str = "") -> str:
    """Return the variable without surrounding blanks, or `default` where it is empty."""
    return os.environ.get(name, "").strip() or default


def flag(name: str, *, default: bool) -> bool:
    """Return a yes-or-no variable."""
    from databases.pools import ConfigurationRefused
    from databases.pools import flag as read

    try:
        return read(os.environ, name, default=default)
    except ConfigurationRefused as refused:
        raise refuse(str(refused)) from None


def integer(name: str, default: int, *, least: int = 0, most: int = 1_000_000_000) -> int:
    """Return a whole number between `least` and `most`."""
    given = text(name)
    if not given:
        return default
    if not re.fullmatch(r"-?[0-9]{1,18}", given) or not least <= int(given) <= most:
        raise refuse(f"{name} must be a whole number from {least} to {most}.")
    return int(given)


def items(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """Return a comma separated list without empty parts."""
    given = [part.strip() for part in os.environ.get(name, "").split(",")]
    return [part for part in given if part] or list(default)


def missing(required: Mapping[str, str]) -> list[str]:
    """Return "NAME (what it is for)" for each required variable that is not set."""
    return [f"{name} ({purpose})" for name, purpose in required.items() if not text(name)]
