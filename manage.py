#!/usr/bin/env python
"""Run Polystore's management commands."""

from __future__ import annotations

import os
import sys

WITHOUT_DATABASE = {
    *("check", "collectstatic", "diffsettings", "findstatic", "help", "makemigrations"),
    *("version", "wait_for_databases", "--help", "-h", "--version"),
}
"""Commands that ask no database, or that wait for one: the placement is not read for them."""


def _read_placement() -> None:
    """Route this command's queries to where each app's rows live now."""
    import django

    django.setup()
    from databases import placement

    placement.refresh()


def main() -> None:
    """Run the command line with the development settings, unless others are named."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
    from django.core.management import execute_from_command_line

    if len(sys.argv) > 1 and sys.argv[1] not in WITHOUT_DATABASE:
        _read_placement()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
