"""`manage.py migrate_all`: bring every database to the code's state."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from common.errors import PolystoreError
from databases.aliases import is_replica
from databases.migration import run
from databases.migration.run import AliasReport
from databases.tables import rendered


class Command(BaseCommand):
    """Look at every database, then migrate each with the apps that live there."""

    help = (
        "Migrate every database: each gets the apps whose rows live there. For operators. "
        "Exit 1 when something stands against it (or, with --check, is pending); 2 on bad use."
    )
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take aliases and what to do."""
        parser.add_argument("aliases", nargs="*", metavar="ALIAS", help="only these databases")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--status", action="store_true", help="show pending migrations and drift")
        what.add_argument("--check", action="store_true", help="like --status; exit 1 if any")
        what.add_argument("--plan", action="store_true", help="list the migrations, in order")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        """Report, or migrate and report."""
        aliases = self._chosen(options["aliases"])
        only_look = options["status"] or options["check"] or options["plan"]
        try:
            if only_look:
                reports = run.examine(aliases)
            else:
                reports = run.migrate(aliases, step=self._step(quiet=options["json"]))
        except PolystoreError as refused:
            raise CommandError(f"{refused.detail} {refused.remedy}") from None
        self._show(reports, options)
        bad = any(report.findings for report in reports)
        pending = only_look and any(report.pending for report in reports)
        if bad or (options["check"] and pending):
            sys.exit(1)

    def _chosen(self, names: list[str]) -> list[str]:
        known = run.aliases_to_migrate()
        for name in names:
            if name not in known:
                why = (
                    "is a replica: it follows its primary" if is_replica(name) else "is not in use"
                )
                raise CommandError(
                    f"{name!r} {why}. Databases in use: {', '.join(known)}.", returncode=2
                )
        return list(names) or known

    def _step(self, *, quiet: bool) -> run.Step:
        return lambda line: None if quiet else self.stdout.write(f"  {line}")

    def _show(self, reports: list[AliasReport], options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps({"databases": [asdict(report) for report in reports]}))
            return
        if options["plan"]:
            for report in reports:
                for name in report.pending:
                    self.stdout.write(f"{report.alias}: {name}")
        else:
            self.stdout.write(
                rendered(("alias", "apps", "pending", "applied", "state"), _rows(reports))
            )
        for report in reports:
            for finding in report.findings:
                self.stderr.write(f"{finding.alias}: {finding.problem}. {finding.remedy}")


def _rows(reports: list[AliasReport]) -> list[tuple[str, ...]]:
    return [
        (
            report.alias,
            ", ".join(report.apps) or "none",
            str(len(report.pending) - len(report.applied)),
            str(len(report.applied)),
            "not migrated: see below" if report.findings else _state(report),
        )
        for report in reports
    ]


def _state(report: AliasReport) -> str:
    return "up to date" if len(report.pending) == len(report.applied) else "pending"
