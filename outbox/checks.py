"""What stands against delivery, as far as the configuration shows it."""

from __future__ import annotations

from typing import Any

from django.core import checks
from django.db import connections

from databases.aliases import PRIMARY
from outbox.delivery.session import DirectConnectionNeeded


def check_way_around_the_pooler(**_: Any) -> list[checks.CheckMessage]:
    """Warn where drainers could only reach the primary through a transaction pooler."""
    known = connections.settings[PRIMARY.value].get("POLYSTORE", {})
    direct = known.get("direct", {}).get("POLYSTORE", known)
    if not direct.get("pooler"):
        return []
    return [
        checks.Warning(
            f"{DirectConnectionNeeded.title}; events wait until it has one.",
            hint=DirectConnectionNeeded.remedy,
            id="outbox.W001",
        )
    ]


def register_all() -> None:
    """Make the checks known to `manage.py check`."""
    checks.register(check_way_around_the_pooler)
