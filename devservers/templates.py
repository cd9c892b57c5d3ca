"""Data folders of PostgreSQL made once and copied for every new set: a start without initdb."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from devservers import places
from devservers.aliases import DATABASES, OTHERS, PRIMARY, REPLICA
from devservers.errors import ServersError
from devservers.ground import Ground, ended_afterwards, free_port
from devservers.places import Home
from devservers.postgres import SETTINGS, PostgresServer
from devservers.processes import ServerProcesses
from devservers.state import locked

TEMPLATES = "templates"
RECIPE = 2
"""Raised when the way in which templates are made changes."""


def template_of(home: Home, ground: Ground) -> Path:
    """Return the folder with the data of `primary`, `others` and `replica`, made if missing.

    The copies are exact, so the replica of a new set streams from its primary at once.
    """
    folder = home.folder / TEMPLATES / _key(ground)
    with locked(home.folder / TEMPLATES):
        if not folder.is_dir():
            making = folder.with_name(f"making-{folder.name}")
            _clear(making)
            _make(making, ground)
            making.rename(folder)
    return folder


def copy_tree(source: Path, target: Path) -> None:
    """Copy a data folder with owners and modes, sharing blocks where the file system can.

    :raises ServersError: when the copy fails, for example because the disk is full.
    """
    copy = shutil.which("cp", path=os.defpath) or "cp"
    answer = subprocess.run(
        [copy, "-a", "--reflink=auto", str(source), str(target)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if answer.returncode != 0:
        places.remove_folder(target)
        raise ServersError(f"{source} could not be copied: {answer.stderr.strip()}")


def _key(ground: Ground) -> str:
    program = ground.programs.postgres_program("postgres")
    made_of = (RECIPE, program, program.stat().st_size, sorted(SETTINGS.items()), dict(DATABASES))
    return hashlib.sha256(repr(made_of).encode()).hexdigest()[:12]


def _clear(making: Path) -> None:
    """Remove what an interrupted attempt left, its servers first."""
    for name in (PRIMARY, OTHERS, REPLICA):
        ServerProcesses(folder=making / name, program=PostgresServer.program).kill()
    places.remove_folder(making)


def _make(making: Path, ground: Ground) -> None:
    places.make_way(making / "logs")
    sockets = places.make_socket_folder(ground.user)
    here = replace(ground, folder=making, sockets=sockets, durable=False)
    primary, others = (
        PostgresServer(here, name=name, port=free_port(), databases=DATABASES[name])
        for name in (PRIMARY, OTHERS)
    )
    copy = PostgresServer(here, name=REPLICA, port=free_port(), source=primary)
    try:
        with ended_afterwards(primary, others):
            with ThreadPoolExecutor() as pool:
                list(pool.map(_make_server, (primary, others)))
            copy.copy_source()
    finally:
        places.remove_folder(sockets)
    places.remove_folder(making / "logs")


def _make_server(server: PostgresServer) -> None:
    server.prepare()
    server.launch()
    server.wait_until_ready()
    server.make_databases()
