"""What `script/server` does before the site serves: one process for it all, to be quick about it.

Migrates every database, makes sure of the development admin (its password is the first line of
standard input), makes MongoDB's indexes and seeds the opportunity zones. Ends with the exit code of
the step that failed; seeding is reported only, as in a release.

Usage: python script/_prepare.py EMAIL
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import django
from django.core.management import CommandError, call_command


def main() -> int:
    """Run the steps."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
    django.setup()
    from databases import placement

    log = logging.getLogger(placement.__name__)
    log.setLevel(logging.WARNING)  # Before the first migration there is nothing to read.
    placement.refresh()
    step("migrate_all", says="Migrating every database ...")
    placement.refresh()
    step("ensure_development_admin", "--email", sys.argv[1], "--password-stdin")
    step("ensure_mongo_indexes")
    try:
        step("seed_opportunity_zones", says="Seeding the opportunity zones ...")
    except SystemExit:
        print("  The site starts with the zones that it has.", flush=True)
    return 0


def step(*arguments: str, says: str = "") -> None:
    """Run one command; it speaks for itself.

    :raises SystemExit: with its exit code when it fails.
    """
    if says:
        print(says, flush=True)
    try:
        call_command(*arguments)
    except CommandError as error:
        print(f"manage.py {arguments[0]} failed: {error}", flush=True)
        raise SystemExit(error.returncode) from None


if __name__ == "__main__":
    sys.exit(main())
