"""`manage.py place_app`: send an app's rows to its own database from now on."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.utils import Error

from common.errors import PolystoreError
from databases import placing
from databases.placement import REFRESH_SECONDS
from databases.placing import NoSuchPlace, PlacedApp


class Command(BaseCommand):
    """Record where an app's rows go from now on."""

    help = (
        "Send the rows of an app to a database from now on: its tables are made there, and every "
        "process follows within seconds. Rows that exist stay where they are, which has to be "
        "said with --leave-existing. For operators. Exit 1 when something stands against it; 2 on "
        "bad use."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the app, the database and the operator's word."""
        parser.add_argument("app", metavar="APP")
        parser.add_argument("--on", required=True, metavar="ALIAS", help="the database")
        parser.add_argument(
            "--leave-existing",
            action="store_true",
            help="rows that exist stay in the old database, out of sight of ordinary queries",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        """Place the app."""
        try:
            placed = placing.place(
                options["app"],
                on=options["on"],
                leave_existing=options["leave_existing"],
                step=lambda line: None if options["json"] else self.stdout.write(f"  {line}"),
            )
        except NoSuchPlace as bad:
            raise CommandError(bad.detail, returncode=2) from None
        except PolystoreError as refused:
            raise CommandError(f"{refused.detail} {refused.remedy}") from None
        except Error as failed:
            raise CommandError(f"A database failed ({type(failed).__name__}); try again.") from None
        self.stdout.write(json.dumps(asdict(placed)) if options["json"] else _told(placed))


def _told(placed: PlacedApp) -> str:
    lines = [f"{placed.app} lives on {placed.alias!r} already."]
    if placed.changed:
        soon = f"Running processes follow within {REFRESH_SECONDS:.0f} seconds."
        lines = [f"New rows of {placed.app} go to {placed.alias!r}. {soon}"]
    if placed.tables_with_rows_left:
        lines.append(f"Rows stay in the primary: {', '.join(placed.tables_with_rows_left)}.")
    return "\n".join(lines)
