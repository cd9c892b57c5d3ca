"""`manage.py seed_opportunity_zones`: load the zones, or check those that are loaded."""

from __future__ import annotations

import dataclasses
import json
import sys
from argparse import ArgumentParser
from time import perf_counter
from typing import Any, Self, TextIO

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from caches.models import Program
from caches.queries.status import findings, zones_status
from caches.services import runs, versions
from caches.services.parsing import SourceRefused
from caches.services.seeding import Outcome, Progress, SeedReport
from common.errors import PolystoreError


class Command(BaseCommand):
    """Load opportunity zones without a moment in which there are none."""

    help = (
        "Loads the opportunity zones as a new version and switches to it at the end. Sources, in "
        "this order: --source, OPPORTUNITY_ZONES_SOURCE, the folder shared/data beside the "
        "checkout, the sample that ships. Exit 1 on a finding of --check or while another run is "
        "seeding, 2 when the source cannot be used."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--check", action="store_true", help="only say whether the zones are empty or stale"
        )
        parser.add_argument(
            "--force", action="store_true", help="write anew, and take a set that shrank"
        )
        parser.add_argument(
            "--rollback",
            action="store_true",
            help="let the version of before answer again, and load nothing",
        )
        parser.add_argument(
            "--source",
            default="",
            metavar="PATH|URL",
            help="GeoJSON (plain or .gz), the designated list as CSV, or a folder with both; "
            "several with commas between",
        )
        parser.add_argument("--program", choices=Program.values, default=Program.OZ1.value)
        parser.add_argument(
            "--allow-private",
            action="store_true",
            help="fetch from private networks and by plain http, too",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed, or check."""
        if options["check"]:
            self._check(as_json=options["json"])
            return
        if options["rollback"]:
            self._roll_back(options["program"], as_json=options["json"])
            return
        started = perf_counter()
        report = self._seed(options)
        self._tell(report, seconds=perf_counter() - started, as_json=options["json"])

    def _check(self, *, as_json: bool) -> None:
        at = timezone.now()
        faults = findings(at=at)
        if as_json:
            versions = [dataclasses.asdict(one) for one in zones_status(at=at).versions]
            document = {"ok": not faults, "findings": faults, "versions": versions}
            self.stdout.write(json.dumps(document, default=str))
        else:
            for line in faults or ["The zones are complete and fresh."]:
                self.stdout.write(line)
        if faults:
            raise SystemExit(1)

    def _roll_back(self, program: str, *, as_json: bool) -> None:
        try:
            pointer = versions.roll_back(program=program, at=timezone.now())
        except PolystoreError as error:
            raise CommandError(f"{error.detail} {error.remedy}", returncode=1) from error
        told = {"version": pointer.dataset.version, "generation": pointer.generation}
        if as_json:
            self.stdout.write(json.dumps(told))
        else:
            self.stdout.write("{version} answers now (generation {generation}).".format(**told))

    def _seed(self, options: dict[str, Any]) -> SeedReport:
        at = timezone.now()
        # In JSON mode nothing else may reach the standard output.
        with _Shown(sys.stderr) as progress:
            try:
                run = runs.take_over(program=options["program"], at=at, force=options["force"])
                report = runs.carry_out(
                    run,
                    at=at,
                    source=options["source"],
                    allow_private=options["allow_private"],
                    progress=progress,
                )
            except PolystoreError as error:
                code = 2 if isinstance(error, SourceRefused) else 1
                raise CommandError(f"{error.detail} {error.remedy}", returncode=code) from error
        if report is None:
            raise CommandError("A worker took the run up in this moment.", returncode=1)
        return report

    def _tell(self, report: SeedReport, *, seconds: float, as_json: bool) -> None:
        if as_json:
            document = dataclasses.asdict(report) | {"seconds": round(seconds, 2)}
            self.stdout.write(json.dumps(document))
            return
        for note in report.notes:
            self.stdout.write(f"note: {note}")
        counts = (
            f"{report.zone_count:,} zones, {report.polygon_count:,} with polygons, "
            f"version {report.version}"
        )
        if report.outcome is Outcome.UNCHANGED:
            self.stdout.write(f"Already up to date ({counts}): nothing changed.")
        else:
            self.stdout.write(
                f"Seeded {counts}, from {report.source}, in {seconds:.1f} s; "
                f"{report.rows_written:,} rows written or closed."
            )
        if report.is_sample:
            self.stdout.write(
                "This is the sample that ships with the project, not the real zones: set "
                "OPPORTUNITY_ZONES_SOURCE or give --source."
            )
        elif report.polygon_count < report.expected_count:
            gap = report.expected_count - report.polygon_count
            self.stdout.write(
                f"{gap:,} designated zones have no polygon: where they may lie the answer is "
                '"unknown".'
            )


class _Shown(Progress):
    """Progress for people: a bar on a terminal, plain lines in a log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: tqdm[Any] | None = None
        self._told = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def stage(self, name: str) -> None:
        """Show what is being done."""
        if self._bar is not None:
            self._bar.set_description(name)
        else:
            self._line(f"{name} …")

    def fetched(self, done: int, total: int) -> None:
        """Show how far the fetching is."""
        if done == total or not done % 2000:
            self._line(f"{done:,} of {total:,} features fetched")

    def wrote(self, done: int, total: int) -> None:
        """Show how far the writing is: each step on a terminal, each quarter in a log."""
        if self._stream.isatty():
            if self._bar is None:
                self._bar = tqdm(total=total, unit=" zones", desc="writing", file=self._stream)
            self._bar.update(done - self._bar.n)
        elif done * 4 // total > self._told:
            self._told = done * 4 // total
            self._line(f"{done:,} of {total:,} zones written")

    def _line(self, text: str) -> None:
        self._stream.write(f"seed_opportunity_zones: {text}\n")
        self._stream.flush()
