"""Stand before the library's command of this name, which knows only the library's tables."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from accounts.oauth.services.cleaning import remove_expired


class Command(BaseCommand):
    """Remove codes, tokens and authorizations that are over; beat does it every ten minutes."""

    help = "Remove codes, tokens and authorizations that are over, 500 rows at a time."

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it and say how many rows went."""
        self.stdout.write(f"{remove_expired(at=timezone.now())} rows removed.")
