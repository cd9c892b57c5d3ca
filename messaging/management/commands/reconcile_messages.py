"""`manage.py reconcile_messages`: do both stores hold the same direct messages?"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from databases.breaker import AliasUnavailable
from messaging.services.reconciling import RATE, Difference, Scope, reconcile

MOST_NAMED: Final = 1_000
"""Differences that are named one by one; the others are counted."""


class Command(BaseCommand):
    """Compares MongoDB's and PostgreSQL's direct messages, and mends what differs."""

    help = (
        "Compare direct messages in MongoDB and PostgreSQL, name each difference, and have both "
        "keep the newer state; safe while the site writes. For operators. Exit 1 when --check "
        "finds a difference or a store is away, 2 on bad use."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--conversation", type=_uuid, metavar="ID", help="only this one")
        parser.add_argument(
            "--since",
            type=_moment,
            metavar="TIME",
            help="only what came or changed since: ISO time",
        )
        parser.add_argument("--check", action="store_true", help="only look")
        parser.add_argument(
            "--resume", action="store_true", help="go on where an earlier run was ended"
        )
        parser.add_argument(
            "--rate",
            type=int,
            default=RATE,
            metavar="N",
            help=f"messages a second at most ({RATE}); 0: no limit",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare, print, and exit 1 where something is not well."""
        if options["rate"] < 0:
            raise CommandError("--rate must not be negative.", returncode=2)
        named: list[Difference] = []

        def name(difference: Difference) -> None:
            if len(named) < MOST_NAMED:
                named.append(difference)
                if not options["json"]:
                    self.stdout.write(f"{difference.id}  {difference.kind}")

        try:
            report = reconcile(
                scope=Scope(conversation_id=options["conversation"], since=options["since"]),
                at=timezone.now(),
                repair=not options["check"],
                resume=options["resume"],
                rate=options["rate"],
                found=name,
            )
        except AliasUnavailable as error:
            raise CommandError(f"{error.detail} Run it again with --resume.") from None
        if options["json"]:
            answer = {
                "compared": report.compared,
                "differences": report.differences,
                "mended": report.mended,
                "kinds": dict(report.kinds),
                "rowsPerSecond": report.rate,
                "messages": [{"id": str(one.id), "kind": one.kind} for one in named],
            }
            self.stdout.write(json.dumps(answer))
        else:
            self.stdout.write(
                f"{report.compared} messages, {report.differences} differences, "
                f"{report.mended} mended, {report.rate} a second."
            )
        if report.differences > report.mended:
            sys.exit(1)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no id.") from None


def _moment(text: str) -> datetime:
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no ISO time.")
    return found if found.tzinfo else timezone.make_aware(found)
