"""The plugin that gives every run of the tests its own servers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from devservers.places import CHECKOUT

A_TEST = """
import os
import pytest

def test_variables():
    assert "elsewhere" not in os.environ["DATABASE_URL"]
    assert ("READ_REPLICA_DATABASE_URL" in os.environ) is (os.environ["SHAPE"] == "all")
    assert "REDIS_URL" in os.environ and "MONGO_URL" in os.environ

@pytest.mark.long
def test_that_takes_its_time():
    pass

def test_that_breaks_a_server(servers):
    servers.kill("primary")
    servers.pause("redis")

def test_after_it(servers):
    assert set(servers.status().values()) == {"up"}
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that runs pytest with the plugin on `A_TEST`, without Django."""
    (tmp_path / "test_a.py").write_text(A_TEST)

    def pytest_run(*arguments: str, shape: str = "one", **environment: str):
        return subprocess.run(
            [
                sys.executable, "-m", "pytest", "-p", "tests.servers", "-p", "no:django",
                "-p", "no:randomly", "-c", "/dev/null", "-o", "markers=long: slow",
                "--rootdir", str(tmp_path), *arguments, str(tmp_path / "test_a.py"),
            ],
            cwd=CHECKOUT,
            env=os.environ | {
                "POLYSTORE_TEST_SHAPE": shape,
                "SHAPE": shape,
                "DATABASE_URL": "postgresql://elsewhere/somebodys-data",
                **environment,
            },
            capture_output=True, text=True, timeout=170, check=False,
        )  # fmt: skip

    return pytest_run


@pytest.mark.parametrize("shape", ["one", "all"])
def test_servers_are_named_in_the_environment_and_mended_after_a_test(run, shape):
    done = run(shape=shape)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed, 1 deselected" in done.stdout


def test_long_tests_run_when_they_are_asked_for(run):
    done = run("--long", "-k", "takes_its_time")

    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_nothing_starts_where_nothing_runs(run):
    done = run("--collect-only", "-q")

    assert "servers:" not in done.stdout
    assert "test_variables" in done.stdout


def test_an_unknown_shape_is_refused(run):
    done = run(shape="triangle")

    assert done.returncode == 4
    assert "POLYSTORE_TEST_SHAPE is 'triangle': one of all, one." in done.stderr


@pytest.fixture
def on_path():
    """Return a folder that the servers' account can enter, to be put on PATH."""
    folder = Path(tempfile.mkdtemp(prefix="polystore-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_server_that_does_not_start_is_told_without_a_traceback(run, on_path):
    program = on_path / "redis-server"
    program.write_text("#!/bin/sh\necho 'Redis server v=9.9.9'\n[ $1 = --version ]\n")
    program.chmod(0o755)

    done = run(PATH=f"{on_path}{os.pathsep}{os.environ['PATH']}")

    assert done.returncode == 4
    assert "redis ended with status 1" in done.stderr
    assert "Traceback" not in done.stderr
