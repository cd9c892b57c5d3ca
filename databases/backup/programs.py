"""PostgreSQL's own programs, in the major version of the server that they are for."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from django.conf import settings

from common.errors import PolystoreError

NEWEST_LOOKED_FOR: Final = 30
_USUAL_PLACES: Final = ("/usr/lib/postgresql/{major}/bin", "/usr/pgsql-{major}/bin")


class ProgramsMissing(PolystoreError):
    """A program of PostgreSQL is needed, and is not there in the right major version."""

    code = "backups.programs_missing"
    status = 503
    title = "A program of PostgreSQL is missing"

    def __init__(self, name: str, major: int) -> None:
        """Name the program and the version."""
        super().__init__(f"{name} of PostgreSQL {major} was not found.")
        self.remedy = (
            f"Install the client programs of PostgreSQL {major} (Debian: "
            f"postgresql-client-{major}), or name their folder in POSTGRES_BIN_DIR."
        )


def find(name: str, *, major: int) -> Path:
    """Return the path of a program in exactly this major version.

    Looks in POSTGRES_BIN_DIR, on PATH, then where packages put several versions beside each other.

    :raises ProgramsMissing: saying how to come by it.
    """
    for folder in _folders(major):
        program = folder / name
        if os.access(program, os.X_OK) and major_of(program) == major:
            return program
    raise ProgramsMissing(name, major)


def find_at_least(name: str, *, major: int) -> Path:
    """Return a program that reads files which this major version wrote.

    :raises ProgramsMissing: when there is none.
    """
    for newer in range(major, NEWEST_LOOKED_FOR + 1):
        try:
            return find(name, major=newer)
        except ProgramsMissing:
            continue
    raise ProgramsMissing(name, major)


def major_of(program: Path) -> int | None:
    """Return the major version that the program itself names, None when it does not run."""
    try:
        return _asked(str(program), program.stat().st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=256)
def _asked(program: str, _changed: int) -> int | None:
    try:
        answer = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(number[1]) if number else None


def _folders(major: int) -> Iterator[Path]:
    for paths in (settings.POSTGRES_BIN_DIR, os.environ.get("PATH", os.defpath)):
        yield from (Path(entry) for entry in paths.split(os.pathsep) if entry)
    yield from (Path(place.format(major=major)) for place in _USUAL_PLACES)
