"""`manage.py verify_sync`: is MongoDB what PostgreSQL says?"""

from __future__ import annotations

import json
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from common.errors import PolystoreError
from databases.tables import rendered
from outbox import registry
from outbox.registry import Projection
from outbox.verification import Difference, Options, Report, surroundings, verify
from outbox.verification.surroundings import Finding

UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
COLUMNS: Final = (
    *("projection", "rows", "documents", "tombstones", "differences", "waiting", "repaired"),
    "rows/s",
)


class Command(BaseCommand):
    """Compare every projection with its rows."""

    help = (
        "Compare MongoDB's projections with PostgreSQL and name each difference; safe while the "
        "site writes. For operators. Exit 1 when anything differs or is not well, 2 on bad use."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take names of projections and what to do."""
        parser.add_argument("projections", nargs="*", metavar="PROJECTION", help="only these")
        parser.add_argument(
            "--repair", action="store_true", help="record events that mend each difference"
        )
        parser.add_argument(
            "--since", type=_moment, metavar="TIME", help="only what changed since: ISO time or 30m"
        )
        parser.add_argument(
            "--sample", type=_count, default=0, metavar="N", help="only N of each, at random"
        )
        parser.add_argument(
            "--resume", action="store_true", help="go on where an earlier run was ended"
        )
        parser.add_argument(
            "--wait", type=float, default=10.0, metavar="SECONDS", help="for events that wait (10)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare, print, and exit 1 where something is not well."""
        chosen = _chosen(options["projections"])
        if options["sample"] and (options["since"] or options["resume"]):
            raise CommandError("--sample goes with neither --since nor --resume.", returncode=2)
        self._json = options["json"]
        self._sampled = bool(options["sample"])
        findings = surroundings.first(chosen)
        reports: list[Report] = []
        failure = ""
        if all(finding.well for finding in findings[:2]):
            reports, failure = self._compare(chosen, options)
        if not (options["sample"] or options["since"]):
            findings.extend(surroundings.counts(report) for report in reports)
        if failure:
            findings.append(Finding(name="comparison", well=False, detail=failure))
        well = all(report.well for report in reports) and all(one.well for one in findings)
        self._print(reports, findings, well=well)
        if not well:
            sys.exit(1)

    def _compare(
        self, chosen: list[Projection], options: dict[str, Any]
    ) -> tuple[list[Report], str]:
        reports: list[Report] = []
        wanted = Options(
            repair=options["repair"],
            since=options["since"],
            sample=options["sample"],
            resume=options["resume"],
            wait=options["wait"],
        )
        for projection in chosen:
            try:
                reports.append(verify(projection, wanted, tell=self._teller(projection)))
            except PolystoreError as error:
                return reports, f"{projection.name}: {error.detail} Go on with --resume."
            except LookupError:
                raise CommandError(
                    f"{projection.name} cannot tell what changed since: compare all of it.",
                    returncode=2,
                ) from None
        return reports, ""

    def _teller(self, projection: Projection) -> Any:
        def tell(difference: Difference) -> None:
            if not self._json:
                self.stdout.write(f"{projection.name}: {difference}")

        return tell

    def _print(self, reports: list[Report], findings: list[Finding], *, well: bool) -> None:
        if self._json:
            document = {
                "projections": [report.figures() for report in reports],
                "checks": [asdict(finding) for finding in findings],
                "well": well,
            }
            self.stdout.write(json.dumps(document))
            return
        if reports:
            cells = [_cells(report, sampled=self._sampled) for report in reports]
            self.stdout.write(rendered(COLUMNS, cells))
        for report in reports:
            for note in report.notes:
                self.stdout.write(f"{report.projection}: {note}")
        rows = [("yes" if one.well else "NO", one.name, one.detail) for one in findings]
        self.stdout.write(rendered(("well", "what", "found"), rows))


def _chosen(names: list[str]) -> list[Projection]:
    known = {projection.name: projection for projection in registry.projections()}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise CommandError(
            f"There is no projection {unknown[0]!r}. Projections: {', '.join(known) or 'none'}.",
            returncode=2,
        )
    return [known[name] for name in names] if names else list(known.values())


def _cells(report: Report, *, sampled: bool) -> tuple[str, ...]:
    rate = report.rows / report.seconds if report.seconds else 0.0
    return (
        report.projection,
        f"{report.rows:,}",
        # Of a sample each id is looked at on both sides; nobody counts either.
        "-" if sampled else f"{report.documents:,}",
        "-" if sampled else f"{report.tombstones:,}",
        f"{report.found:,}",
        f"{report.waiting:,}",
        f"{report.repaired:,} of {report.recorded:,} events" if report.recorded else "-",
        f"{rate:,.0f}",
    )


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if not 1 <= count <= 100_000:
        raise ArgumentTypeError("give a number from 1 to 100000")
    return count


def _moment(text: str) -> datetime:
    """Return the moment that an ISO time or an age such as 30m, 12h, 7d names."""
    if match := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return timezone.now() - timedelta(**{UNITS[match[2]]: int(match[1])})
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise ArgumentTypeError("give an ISO time such as 2026-03-01T12:00, or an age such as 30m")
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
