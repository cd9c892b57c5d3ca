"""`manage.py find_orphans`: rows whose parent in the primary is gone."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from databases.tables import rendered
from outbox import orphans
from outbox.orphans import Found, NoSuchKey

COLUMNS = ("loose key", "parent", "rule", "checked", "orphans", "repaired", "examples")


class Command(BaseCommand):
    """Find children of loose keys whose parent is gone, and do with them what the key says."""

    help = (
        "Find rows whose loose key leads to a parent that is gone, in pages and without locks. "
        "Rows that keep their key by rule are counted and are no finding. For operators. Exit 1 "
        "when there are orphans left, or a database does not answer; 2 on bad use."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take names of loose keys."""
        parser.add_argument("keys", nargs="*", metavar="APP.MODEL.FIELD", help="only these")
        parser.add_argument(
            "--repair", action="store_true", help="apply each key's rule to its orphans"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        """Look, and print what was found."""
        try:
            keys = orphans.keys_named(options["keys"])
        except NoSuchKey as bad:
            raise CommandError(bad.detail, returncode=2) from None
        found = [orphans.find(key, repair=options["repair"]) for key in keys]
        if options["json"]:
            self.stdout.write(json.dumps({"keys": [asdict(one) for one in found]}))
        else:
            self.stdout.write(rendered(COLUMNS, [_cells(one) for one in found]))
        if any(one.is_finding for one in found):
            sys.exit(1)


def _cells(found: Found) -> tuple[str, ...]:
    said = f"not all read: {found.unavailable}" if found.unavailable else ""
    return (
        found.key,
        found.parent,
        found.rule,
        str(found.checked),
        str(found.orphans),
        str(found.repaired),
        said or ", ".join(found.examples) or "-",
    )
