"""`manage.py wait_for_databases`: return when every configured store answers."""

from __future__ import annotations

import time
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from databases import health
from databases.aliases import PRIMARY

PAUSE = 0.2
LONGEST = 86_400


class Command(BaseCommand):
    """Wait until every configured store answers, for deployments and scripts."""

    help = "Wait until every configured store answers. For deployments. Exit 1 when time is up."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take names and the time to wait."""
        parser.add_argument("stores", nargs="*", metavar="STORE", help="only these")
        parser.add_argument("--timeout", type=_seconds, default=60.0, help="seconds (default 60)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Wait, naming who is missing when time is up."""
        primary = connections.settings[PRIMARY]["POLYSTORE"]
        if primary["role"] == "unconfigured":
            raise CommandError(f"{primary['variable']} is not set. Set it to the primary's URL.")
        deadline = time.monotonic() + options["timeout"]
        known = health.report(fresh=True).stores
        for name in options["stores"]:
            if name not in known:
                raise CommandError(
                    f"{name!r} is not configured. Configured: {', '.join(known)}.", returncode=2
                )
        wanted = options["stores"] or list(known)
        while missing := _missing(wanted):
            if time.monotonic() > deadline:
                raise CommandError(f"Still not answering: {'; '.join(missing)}.")
            time.sleep(PAUSE)
        self.stdout.write(f"All answer: {', '.join(wanted)}.")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= LONGEST:
        raise ArgumentTypeError(f"must be from 0 to {LONGEST} seconds")
    return seconds


def _missing(wanted: list[str]) -> list[str]:
    found = health.report(fresh=True).stores
    return [f"{name} ({found[name].reason})" for name in wanted if not found[name].up]
