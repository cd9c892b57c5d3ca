"""`manage.py seed_tracker`: invented people, for development and benchmarks."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from tracker.services.seeding import seed_tracker


class Command(BaseCommand):
    """Adds invented users with what they did; never changes what is there."""

    help = (
        "Add invented users (who cannot sign in) with todos, points, timers, friends and reports. "
        "Refused where DEBUG is off, unless --yes-in-production says that it is meant."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--users", type=int, default=50)
        parser.add_argument("--todos", type=int, default=500, help="Of all users together.")
        parser.add_argument("--seed", type=int, default=1, help="The same one invents the same.")
        parser.add_argument(
            "--without-events",
            action="store_true",
            help="Tell MongoDB of the users alone, whose events a trigger records.",
        )
        parser.add_argument("--yes-in-production", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse, or do it and say what was made."""
        if not settings.DEBUG and not options["yes_in_production"]:
            raise CommandError(
                "DEBUG is off: people would meet invented users. "
                "Say --yes-in-production if that is meant."
            )
        if options["users"] < 1 or options["todos"] < 0:
            raise CommandError("--users must be at least 1 and --todos at least 0.")
        with tqdm(unit=" rows", disable=None) as bar:
            made = seed_tracker(
                users=options["users"],
                todos=options["todos"],
                at=timezone.now(),
                events=not options["without_events"],
                seed=options["seed"],
                progress=lambda _what, count: _advance(bar, count),
            )
        self.stdout.write(
            f"{made.users} users, {made.todos} todos, {made.timers} timers, "
            f"{made.friendships} friendships, {made.reports} reports."
        )


def _advance(bar: tqdm[NoReturn], count: int) -> None:
    bar.update(count)
