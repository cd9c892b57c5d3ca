#!/usr/bin/env python
"""Run Polystore's management commands."""

from __future__ import annotations

import gc
import os
import sys

from django.apps import apps
from django.core.management import BaseCommand, ManagementUtility

WITHOUT_DATABASE = {
    *("check", "collectstatic", "diffsettings", "findstatic", "help", "makemigrations"),
    *("version", "wait_for_databases", "--help", "-h", "--version"),
}
"""Commands that ask no database, or that wait for one: the placement is not read for them."""


class Commands(ManagementUtility):
    """Django's, whose commands' queries go to where each app's rows live now."""

    def fetch_command(self, subcommand: str) -> BaseCommand:
        """Return the command; all that it needs is loaded, by the settings that were named."""
        # What is loaded lives as long as the process: no collection need look at it.
        gc.freeze()
        gc.enable()
        found = super().fetch_command(subcommand)
        if apps.ready and self.argv[1] not in WITHOUT_DATABASE:
            from databases import placement

            placement.refresh()
        return found


def main() -> None:
    """Run the command line with the development settings, unless others are named."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
    gc.disable()
    Commands(sys.argv).execute()


if __name__ == "__main__":
    main()
