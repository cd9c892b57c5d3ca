"""`manage.py backup`: every database and MongoDB into one folder, with a manifest."""

from __future__ import annotations

import json
import signal
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.utils import Error
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from common.errors import PolystoreError
from databases.backup import history, making
from databases.backup.history import BackupUnderWay, Origin
from databases.backup.manifest import Manifest
from databases.backup.progress import Shown
from databases.backup.targets import NoSuchStore, NotReached
from databases.models import BackupRun
from databases.tables import rendered


class Command(BaseCommand):
    """Back up while the site writes."""

    help = (
        "Back up every configured database, each once and in one snapshot, and MongoDB's "
        "collections into the new folder DIR. For operators. Exit 1 when it fails, 2 on bad use."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the folder and what to back up."""
        parser.add_argument("folder", metavar="DIR", help="a folder that does not exist yet")
        parser.add_argument(
            "--only", nargs="+", default=[], metavar="ALIAS", help="these databases, or mongodb"
        )
        parser.add_argument(
            "--jobs", type=int, choices=range(1, 33), metavar="N",
            help="connections that dump one database at once (by its size)",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        """Back up, and say what there is."""
        started = perf_counter()
        folder = Path(options["folder"]).absolute()
        before = signal.signal(signal.SIGTERM, _stop)
        try:
            with Shown(sys.stderr, name="backup") as progress:
                made = self._made(folder, options, progress)
        except PolystoreError as error:
            code = 2 if isinstance(error, NoSuchStore) else 1
            raise CommandError(f"{error.detail} {error.remedy}", returncode=code) from None
        finally:
            signal.signal(signal.SIGTERM, before)
        self._tell(folder, made, seconds=perf_counter() - started, as_json=options["json"])

    def _made(self, folder: Path, options: dict[str, Any], progress: Shown) -> Manifest:
        def work() -> Manifest:
            return making.make(
                folder, only=options["only"], jobs=options["jobs"], progress=progress
            )

        run = self._run()
        if run is None:
            return work()
        made = history.carry_out(run, folder, work, at=timezone.now())
        if made is None:
            raise BackupUnderWay("Another backup is under way.")
        return made

    def _run(self) -> BackupRun | None:
        """Return the row of this run; without the primary there is none, and no history."""
        try:
            return history.request(origin=Origin.COMMAND, at=timezone.now())
        except (Error, NotReached):
            self.stderr.write("backup: the primary keeps no history of this backup now.")
            return None

    def _tell(self, folder: Path, made: Manifest, *, seconds: float, as_json: bool) -> None:
        if as_json:
            members = {name: value for name, value in asdict(made).items() if name != "files"}
            members |= {
                "folder": str(folder), "size": made.size, "seconds": round(seconds, 2),
            }  # fmt: skip
            self.stdout.write(json.dumps(members))
            return
        rows = [
            (dump.name, ", ".join(dump.aliases), str(len(dump.tables)), f"{dump.rows:,}")
            for dump in made.databases
        ]
        if made.mongodb is not None:
            collections = made.mongodb.collections
            documents = sum(each.documents for each in collections)
            rows.append(("mongodb", "", str(len(collections)), f"{documents:,}"))
        self.stdout.write(rendered(("store", "serves", "tables", "rows"), rows))
        for note in made.notes:
            self.stdout.write(f"note: {note}")
        size = filesizeformat(made.size).replace("\xa0", " ")
        self.stdout.write(f"{folder}: {size} in {seconds:.1f} s.")


def _stop(_number: int, _frame: object) -> None:
    raise SystemExit(143)
