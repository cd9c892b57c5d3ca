"""Runs of the command in processes of their own, against the databases of the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import connections

from databases.aliases import SPECS


def _url(values: Mapping[str, Any]) -> str:
    """Return the URL of the database that a connection of the tests uses now."""
    query = {"host": values["HOST"]} if str(values["HOST"]).startswith("/") else {}
    where = "" if query else str(values["HOST"] or "localhost")
    port = f":{values['PORT']}" if values["PORT"] and not query else ""
    if query and values["PORT"]:
        query["port"] = str(values["PORT"])
    user = quote(str(values["USER"]), safe="")
    password = f":{quote(str(values['PASSWORD']), safe='')}" if values["PASSWORD"] else ""
    tail = f"?{urlencode(query)}" if query else ""
    return f"postgresql://{user}{password}@{where}{port}/{values['NAME']}{tail}"


def environment() -> dict[str, str]:
    """Return an environment in which the command finds the databases of the tests."""
    known = {name for spec in SPECS.values() for name in spec.variables}
    found = {key: value for key, value in os.environ.items() if key not in known}
    for alias, spec in SPECS.items():
        if alias in connections.databases and alias != "replica":
            found[spec.variables[0]] = _url(connections[alias].settings_dict)
    return found | {"DJANGO_SETTINGS_MODULE": "config.settings.test"}


@contextmanager
def seeding_process(location: Path) -> Iterator[subprocess.Popen[str]]:
    """Start `seed_opportunity_zones` for the second program; killed at the end if it lives."""
    command = [
        sys.executable,
        str(Path(settings.BASE_DIR) / "manage.py"),
        "seed_opportunity_zones",
        "--program=oz2",
        f"--source={location}",
    ]
    with subprocess.Popen(
        command,
        cwd=settings.BASE_DIR,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()


def wait_for_line(process: subprocess.Popen[str], part: str) -> None:
    """Read what the command says until a line holds `part`.

    :raises AssertionError: when it ends before.
    """
    said = []
    for line in process.stderr or ():
        said.append(line)
        if part in line:
            return
    raise AssertionError(f"The command never said {part!r}: {''.join(said)}")
