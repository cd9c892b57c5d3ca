"""Servers in a checkout of their own, so that these tests disturb no other set."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from devservers.places import CHECKOUT, home_of, remove_folder
from devservers.sets import ServerSet


@pytest.fixture(scope="session")
def checkout():
    """Return a folder whose `.polystore` has the fetched programs and nothing else."""
    folder = Path(tempfile.mkdtemp(prefix="polystore-test-"))
    home = home_of(folder)
    fetched = home_of().folder / "programs"
    if fetched.is_dir():
        subprocess.run(["cp", "-a", fetched, home.folder], check=True)
    yield folder
    remove_folder(home.folder)
    shutil.rmtree(folder)


@pytest.fixture
def make_set(checkout, request):
    """Return a maker of sets that are gone after the test, whatever happened in it."""
    made: list[ServerSet] = []

    def make(name: str = "one", **options: object) -> ServerSet:
        servers = ServerSet(f"{name}-{abs(hash(request.node.name)) % 10_000}", **{
            "checkout": checkout, "throwaway": True, **options,
        })  # fmt: skip
        made.append(servers)
        return servers

    yield make
    for servers in made:
        servers.down(delete=True)


@pytest.fixture
def python():
    """Return a function that runs Python code which may import devservers, and does not wait."""

    def run(code: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    return run
