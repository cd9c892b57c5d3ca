"""`manage.py restore`: put a backup back, or prove it."""

from __future__ import annotations

import json
import signal
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from common.errors import PolystoreError
from databases.backup import checking, restoring
from databases.backup.manifest import NoBackup
from databases.backup.progress import Shown
from databases.backup.restoring import Outcome, Step, WrongTargets
from databases.backup.targets import NoSuchStore
from databases.tables import rendered

BAD_USE = (NoBackup, NoSuchStore, WrongTargets)


class Command(BaseCommand):
    """Restore into empty databases, or check without touching any."""

    help = (
        "Restore a backup into the databases that the environment names; they must be empty, or "
        "--replace says that what they hold goes. For operators, with the site stopped. Exit 1 "
        "when it fails or --check finds something, 2 on bad use."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the folder, what to restore and where."""
        parser.add_argument("folder", metavar="DIR", help="a folder that `backup` made")
        parser.add_argument(
            "--check", action="store_true", help="only read all of it and compare with the manifest"
        )
        parser.add_argument(
            "--deep", action="store_true",
            help="with --check: restore it into scratch databases, too",
        )  # fmt: skip
        parser.add_argument(
            "--only", nargs="+", default=[], metavar="ALIAS", help="these databases, or mongodb"
        )
        parser.add_argument(
            "--to-url-of", nargs="+", default=[], metavar="ALIAS",
            help="for each database of --only, the alias whose URL says where it goes",
        )  # fmt: skip
        parser.add_argument(
            "--replace", action="store_true", help="what the databases hold is dropped"
        )
        parser.add_argument(
            "--roles", action="store_true", help="make the roles of the dumped servers first"
        )
        parser.add_argument(
            "--with-privileges", action="store_true", help="restore grants to other roles, too"
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, or ask and restore."""
        folder = Path(options["folder"]).absolute()
        if options["deep"] and not options["check"]:
            raise CommandError("--deep goes with --check.", returncode=2)
        before = signal.signal(signal.SIGTERM, _stop)
        try:
            with Shown(sys.stderr, name="restore") as progress:
                if options["check"]:
                    self._check(folder, options, progress)
                else:
                    self._restore(folder, options, progress)
        except PolystoreError as error:
            code = 2 if isinstance(error, BAD_USE) else 1
            raise CommandError(f"{error.detail} {error.remedy}", returncode=code) from None
        finally:
            signal.signal(signal.SIGTERM, before)

    def _check(self, folder: Path, options: dict[str, Any], progress: Shown) -> None:
        proof = checking.check(
            folder, only=options["only"], deep=options["deep"], progress=progress
        )
        if options["json"]:
            self.stdout.write(json.dumps({"ok": not proof.findings, **asdict(proof)}))
        elif proof.findings:
            for finding in proof.findings:
                self.stdout.write(finding)
        else:
            self.stdout.write(
                f"{', '.join(proof.stores)}: {proof.files} files, {proof.rows:,} rows and "
                f"{proof.documents:,} documents are as the manifest says"
                f"{', and were restored into scratch databases' if proof.deep else ''}."
            )
        if proof.findings:
            sys.exit(1)

    def _restore(self, folder: Path, options: dict[str, Any], progress: Shown) -> None:
        replace = options["replace"]
        steps = restoring.plan(
            folder, only=options["only"], to_url_of=options["to_url_of"], replace=replace
        )
        self._ask(steps, replace=replace, yes=options["yes"], as_json=options["json"])
        outcome = restoring.restore(
            folder,
            steps,
            replace=replace,
            with_privileges=options["with_privileges"],
            with_roles=options["roles"],
            progress=progress,
        )
        self._tell(outcome, as_json=options["json"])

    def _ask(self, steps: list[Step], *, replace: bool, yes: bool, as_json: bool) -> None:
        """Return when somebody has said yes.

        :raises CommandError: when they did not, and when there is nobody to ask.
        """
        if not as_json:
            rows = [(step.store, step.where, step.size) for step in steps]
            self.stdout.write(rendered(("store", "into", "brings back"), rows))
        if yes:
            return
        if not sys.stdin.isatty():
            raise CommandError("There is nobody to ask: give --yes.", returncode=2)
        if replace:
            self.stdout.write("What these databases hold now is dropped.")
        if input('Type "yes" to restore: ').strip().lower() != "yes":
            raise CommandError("Nothing was restored.")

    def _tell(self, outcome: Outcome, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(asdict(outcome)))
            return
        rows = [
            (each.store, each.on, str(each.tables), f"{each.rows:,}") for each in outcome.stores
        ]
        self.stdout.write("Restored, with the counts of the manifest:")
        self.stdout.write(rendered(("store", "on", "tables", "rows"), rows))
        for note in outcome.notes:
            self.stdout.write(f"note: {note}")


def _stop(_number: int, _frame: object) -> None:
    raise SystemExit(143)
