"""`manage.py describe_databases`: what every store is and does."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from databases.describe import Description, StoreDescription, describe, known_stores
from databases.process_state import ALL
from databases.tables import rendered

COLUMNS = (
    *("store", "configured", "served by", "apps", "host", "state", "breaker", "pending"),
    *("size", "pool", "lag"),
)


class Command(BaseCommand):
    """Show every database, replica, MongoDB and Redis in one table."""

    help = (
        "Show every store: whether it is configured and up, which apps live there, pending "
        "migrations, size, pool and lag. For operators. Exit 1 when a store is down that should "
        "serve."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take names of stores."""
        parser.add_argument("stores", nargs="*", metavar="STORE", help="only these")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the table."""
        try:
            found = describe(options["stores"])
        except LookupError as unknown:
            raise CommandError(
                f"There is no store {unknown.args[0]!r}. Stores: {', '.join(known_stores())}.",
                returncode=2,
            ) from None
        if options["json"]:
            self.stdout.write(json.dumps(asdict(found)))
        else:
            self.stdout.write(rendered(COLUMNS, [_cells(row) for row in found.stores]))
            self.stdout.write(_speaks_for(found))
            for note in found.notes:
                self.stdout.write(f"{note.text} {note.remedy}")
        if any(row.state.startswith("down") for row in found.stores):
            sys.exit(1)


def _speaks_for(found: Description) -> str:
    if found.scope == ALL:
        return f"Breaker, pool and lag: all processes ({found.processes})."
    return "Breaker, pool and lag: this process; no other can be seen (Redis away, or none runs)."


def _cells(row: StoreDescription) -> tuple[str, ...]:
    return (
        row.store,
        "yes" if row.configured else "no",
        row.served_by or "-",
        ", ".join(row.apps) or "-",
        row.host,
        row.state,
        row.breaker,
        "-" if row.pending is None else str(row.pending),
        "-" if row.size_bytes is None else f"{row.size_bytes / 1e6:.1f} MB",
        row.pool or "-",
        row.lag or "-",
    )
