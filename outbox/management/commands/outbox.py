"""`manage.py outbox …`: see, stop, start and mend the delivery of events."""

from __future__ import annotations

import getpass
import json
import signal
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

import psycopg
from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from django.db.utils import Error
from django.utils import timezone

from common.errors import PolystoreError
from databases.tables import rendered
from outbox import queue, registry, upkeep
from outbox.delivery import Delivered, drain_once
from outbox.delivery.lingering import follow
from outbox.delivery.once import deliverable_sinks
from outbox.models import DeadLetter
from outbox.rebuilding import abort, rebuild, tell_all
from outbox.rebuilding.building import PATIENCE
from outbox.registry import Projection
from outbox.verification.repair import PER_SECOND

LISTED: Final = 100
"""Dead letters that `dead` lists unless it is told otherwise."""


class Command(BaseCommand):
    """One subcommand for each thing that operators do."""

    help = (
        "The outbox: status, pause, resume, drain, replay, dead, prune. For operators. Exit 1 on a "
        "finding (dead letters, a store that is away); 2 on bad use."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the subcommand and what belongs to it."""
        parts = parser.add_subparsers(dest="part", required=True, metavar="WHAT")
        reports = ArgumentParser(add_help=False)
        reports.add_argument("--json", action="store_true", help="print one JSON document")

        def part(name: str, text: str) -> Any:
            return parts.add_parser(name, help=text, description=text, parents=[reports])

        part("status", "Show how many events wait, for how long, and who delivers.")
        pausing = part("pause", "Stop delivery within a second; the site goes on writing.")
        pausing.add_argument("--reason", default="", help="what others should know")
        part("resume", "Let delivery go on.")
        draining = part("drain", "Deliver in this process.")
        how = draining.add_mutually_exclusive_group()
        how.add_argument("--once", action="store_true", help="what is there now (the default)")
        how.add_argument("--follow", action="store_true", help="until Ctrl-C, as a worker does")
        replaying = part("replay", "Put dead letters back into the queue.")
        replaying.add_argument("ids", nargs="*", type=int, metavar="ID")
        replaying.add_argument("--kind", help="those that failed in this way")
        replaying.add_argument(
            "--projection", metavar="NAME", help="no dead letters: every row of this projection"
        )
        replaying.add_argument(
            "--rebuild", action="store_true", help="build its collection anew, beside the live one"
        )
        replaying.add_argument("--abort", action="store_true", help="give up a rebuild that ended")
        replaying.add_argument(
            "--rate", type=int, default=PER_SECOND, metavar="N", help="events a second"
        )
        replaying.add_argument(
            "--wait", type=float, default=PATIENCE, metavar="SECONDS", help="for deliveries (60)"
        )
        replaying.add_argument("--all", action="store_true", help="all of them")
        listing = part("dead", "List dead letters, newest first.")
        listing.add_argument("--kind", help="those that failed in this way")
        listing.add_argument("--limit", type=int, default=LISTED, metavar="N")
        part("prune", "Delete dead letters and history past OUTBOX_RETENTION_DAYS.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the one part that was asked for."""
        does: dict[str, Callable[[dict[str, Any]], None]] = {
            "status": self._status,
            "pause": self._pause,
            "resume": self._resume,
            "drain": self._drain,
            "replay": self._replay,
            "dead": self._dead,
            "prune": self._prune,
        }
        try:
            does[options["part"]](options)
        except PolystoreError as refused:
            raise CommandError(f"{refused.detail} {refused.remedy}") from None
        except (Error, psycopg.Error) as failed:
            raise CommandError(
                f"The primary failed ({type(failed).__name__}); try again."
            ) from None

    def _status(self, options: dict[str, Any]) -> None:
        found = queue.figures()
        state = upkeep.state()
        if options["json"]:
            paused = state.paused_at.isoformat() if state.paused_at else None
            report = {"epoch": state.epoch, "pausedAt": paused, "reason": state.reason}
            sinks = [_on_the_wire(asdict(one)) for one in found]
            self.stdout.write(json.dumps(report | {"sinks": sinks}))
        else:
            header = ("sink", "waiting", "retrying", "oldest", "dead", "drainers")
            rows = [
                (one.sink, str(one.waiting), str(one.retrying), f"{one.oldest_seconds:.1f} s",
                 str(one.dead), "?" if one.drainers is None else str(one.drainers))
                for one in found
            ]  # fmt: skip
            self.stdout.write(rendered(header, rows))
            if state.paused_at:
                self.stdout.write(_paused(state.paused_at, state.paused_by, state.reason))
        if any(one.dead for one in found):
            sys.exit(1)

    def _pause(self, options: dict[str, Any]) -> None:
        changed = upkeep.pause(by=_operator(), reason=options["reason"], at=timezone.now())
        said = "Delivery pauses within a second." if changed else "Delivery was paused already."
        self._say(options, {"paused": True, "changed": changed}, said)

    def _resume(self, options: dict[str, Any]) -> None:
        changed = upkeep.resume()
        said = "Delivery goes on." if changed else "Delivery was not paused."
        self._say(options, {"paused": False, "changed": changed}, said)

    def _drain(self, options: dict[str, Any]) -> None:
        if options["follow"]:
            stop = threading.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: stop.set())

            def tell(sink: str, done: Delivered) -> None:
                report = {"sink": sink} | _on_the_wire(asdict(done))
                self._say(options, report, f"{sink}: {_described(done)}")
                self.stdout.flush()

            follow(deliverable_sinks(), stop=stop, tell=tell)
            return
        done = drain_once()
        self._say(options, _on_the_wire(asdict(done)), _described(done))
        if done.failed or done.dead or done.reason == "paused":
            sys.exit(1)

    def _replay(self, options: dict[str, Any]) -> None:
        if options["projection"]:
            self._show_again(_projection(options), options)
            return
        put_back = upkeep.replay(_chosen(options))
        self._say(options, {"replayed": put_back}, f"{put_back} events wait for delivery again.")

    def _show_again(self, projection: Projection, options: dict[str, Any]) -> None:
        """Bring a whole collection up to date; exit 1 where that did not come to its end."""
        if options["abort"]:
            given_up = abort(projection)
            said = "The rebuild is given up." if given_up else "There is no rebuild to give up."
            self._say(options, {"aborted": given_up}, said)
        elif options["rebuild"]:
            done = rebuild(projection, patience=options["wait"])
            said = f"Built anew from {done.rows:,} rows in {done.seconds:.1f} s, and in place."
            if done.refused:
                said += f" MongoDB does not take {done.refused:,} of them."
            self._say(options, _on_the_wire(asdict(done)), said)
        else:
            told, report = tell_all(projection, per_second=options["rate"], wait=options["wait"])
            said = f"{told:,} events recorded; "
            if report is None:
                said += "they wait still. When they are delivered, run verify_sync --repair."
            else:
                said += f"{report.found:,} differed still, {report.repaired:,} are mended."
            self._say(options, {"recorded": told, "compared": report is not None}, said)
            if told and (report is None or report.found > report.repaired):
                sys.exit(1)

    def _dead(self, options: dict[str, Any]) -> None:
        letters = upkeep.dead_letters()
        if options["kind"]:
            letters = letters.filter(kind=options["kind"])
        found = list(letters[: max(0, options["limit"])])
        if options["json"]:
            self.stdout.write(json.dumps({"items": [_letter(one) for one in found]}))
        else:
            header = ("id", "sink", "event", "aggregate", "tries", "failed", "kind")
            rows = [
                (str(one.pk), one.sink, one.type, one.aggregate_id, str(one.attempts),
                 f"{one.failed_at:%Y-%m-%d %H:%M:%S}", one.kind)
                for one in found
            ]  # fmt: skip
            self.stdout.write(rendered(header, rows) if rows else "There are no dead letters.")
        if found:
            sys.exit(1)

    def _prune(self, options: dict[str, Any]) -> None:
        gone = upkeep.prune()
        said = f"{gone.dead_letters} dead letters and {gone.delivered} delivered events deleted."
        self._say(options, _on_the_wire(asdict(gone)), said)

    def _say(self, options: dict[str, Any], report: dict[str, Any], text: str) -> None:
        self.stdout.write(json.dumps(report) if options["json"] else text)


def _described(done: Delivered) -> str:
    said = f"{done.events} events delivered, {done.failed} failed, {done.dead} given up."
    reasons = {
        "": "",
        "paused": " Delivery is paused.",
        "elsewhere": " Workers deliver; what is theirs was left to them.",
    }
    return said + reasons.get(done.reason, f" {done.reason} does not answer.")


def _chosen(options: dict[str, Any]) -> QuerySet[DeadLetter]:
    given = [name for name in ("ids", "kind", "all") if options[name]]
    if len(given) != 1 or options["rebuild"] or options["abort"]:
        raise CommandError("Name IDs, or one of --kind, --all; or --projection NAME.", returncode=2)
    if options["ids"]:
        return upkeep.dead_letters().filter(pk__in=options["ids"])
    if options["kind"]:
        return upkeep.dead_letters().filter(kind=options["kind"])
    return upkeep.dead_letters()


def _projection(options: dict[str, Any]) -> Projection:
    name = options["projection"]
    if options["ids"] or options["kind"] or options["all"] or options["rate"] < 1:
        raise CommandError("--projection NAME goes with no dead letters.", returncode=2)
    if options["rebuild"] and options["abort"]:
        raise CommandError("Either --rebuild or --abort.", returncode=2)
    try:
        return registry.projection(name)
    except KeyError:
        raise CommandError(f"There is no projection {name!r}.", returncode=2) from None


def _letter(one: DeadLetter) -> dict[str, Any]:
    return {
        "id": one.pk,
        "sink": one.sink,
        "eventType": one.type,
        "aggregateType": one.aggregate_type,
        "aggregateId": one.aggregate_id,
        "attempts": one.attempts,
        "kind": one.kind,
        "failedAt": one.failed_at.isoformat(),
    }


def _on_the_wire(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "".join([first, *(word.title() for word in rest)]): value
        for name, value in fields.items()
        for first, *rest in [name.split("_")]
    }


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _paused(since: Any, by: str, reason: str) -> str:
    why = f": {reason}" if reason else "."
    return f"Delivery is paused since {since:%Y-%m-%d %H:%M} by {by or 'somebody'}{why}"
