"""Stand before the library's command of this name, which tells no audit trail."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    """Refuse: clients are registered in the admin."""

    help = "Refused: register OAuth clients in the admin, where their secret is shown once."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take whatever the library's command took."""
        parser.add_argument("anything", nargs="*")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say where to go."""
        raise CommandError("Register clients in the admin, under Clients.")
