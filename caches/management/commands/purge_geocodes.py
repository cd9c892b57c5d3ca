"""`manage.py purge_geocodes`: forget geocoded addresses, by address, by age, or all."""

from __future__ import annotations

import datetime as dt
import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from caches.services.geocoding.addresses import AddressRefused
from caches.services.geocoding.purging import purge_address, purge_older


class Command(BaseCommand):
    """Forget geocoded addresses, and never say which."""

    help = (
        "Forgets geocoded addresses. For operators, who run commands on the site's machines; there "
        "is no way to it over HTTP. --address reads them from the standard input, one a line, so "
        "that neither the shell's history nor the list of processes keeps them. Prints how many "
        "went, never which. Exit 2 on bad use."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options: exactly one of the first three."""
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument(
            "--address", action="store_true", help="those on the standard input, one a line"
        )
        which.add_argument(
            "--older-than", type=int, metavar="DAYS", help="those stored more than DAYS days ago"
        )
        which.add_argument("--all", action="store_true", help="all of them")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Purge."""
        if options["address"]:
            purged = self._by_address()
        elif options["all"]:
            purged = purge_older(than=None)
        else:
            if options["older_than"] < 0:
                raise CommandError("--older-than takes a number of days.", returncode=2)
            purged = purge_older(than=timezone.now() - dt.timedelta(days=options["older_than"]))
        if options["json"]:
            self.stdout.write(json.dumps({"purged": purged}))
        else:
            self.stdout.write(f"{purged:,} geocoded addresses were forgotten.")

    def _by_address(self) -> int:
        lines = [line.strip() for line in sys.stdin if line.strip()]
        if not lines:
            raise CommandError("Write addresses to the standard input, one a line.", returncode=2)
        purged = 0
        for number, line in enumerate(lines, start=1):
            try:
                purged += purge_address(line)
            except AddressRefused as refused:
                raise CommandError(f"Line {number}: {refused.detail}", returncode=2) from None
        return purged
