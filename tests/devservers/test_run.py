"""`script/server`: the site over its servers, what it says, and how it ends."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from devservers.ground import free_port
from devservers.places import CHECKOUT
from devservers.processes import Identity, identity_of, session_of
from devservers.sets import ServerSet
from tests.waiting import eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

OURS = ("_URL", "PORT", "BIND", "DJANGO_SETTINGS_MODULE")
STARTS_WITHIN = 240.0
"""Seconds; the first start migrates and seeds, and tests may run beside this one."""


class Server:
    """`python -m devservers.run` on a set of its own."""

    def __init__(self, name: str, port: int) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.endswith(OURS)}
        sample = str(CHECKOUT / "caches" / "data" / "sample_zones.geojson")
        self.name, self.port, self.said = name, port, ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "devservers.run", "--set", name],
            cwd=CHECKOUT,
            env=kept | {"PORT": str(port), "OPPORTUNITY_ZONES_SOURCE": sample},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def read_until(self, wanted: str) -> None:
        """Read what it says until `wanted` is in it."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + STARTS_WITHIN
        while wanted not in self.said:
            ready, _, _ = select.select([self.process.stdout], [], [], deadline - time.monotonic())
            part = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert part, f"It ended, or was silent, before {wanted!r}:\n{self.said}"
            self.said += part.decode()

    def up(self) -> None:
        self.read_until("Ctrl-C stops everything")

    def end(self) -> int:
        """Read to the end and return the exit code."""
        rest, _ = self.process.communicate(timeout=120)
        self.said += rest.decode()
        return self.process.returncode

    def part(self, name: str) -> Identity:
        """Return web, worker or beat."""
        found = re.search(rf"^  {name} +process (\d+)", self.said, re.MULTILINE)
        assert found, self.said
        part = identity_of(int(found[1]))
        assert part is not None, f"{name} has ended"
        return part

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=20)


@pytest.fixture(scope="module")
def the_set():
    """Return the name of a set that all tests here start again; it is gone after them."""
    name = f"run-{os.getpid()}"
    yield name
    ServerSet(name).down(delete=True)


@pytest.fixture
def start(the_set):
    """Return a starter of servers on the set; whatever was started ends after the test."""
    port, begun = free_port(), []

    def begin() -> Server:
        begun.append(Server(the_set, port))
        return begun[-1]

    yield begin
    for server in begun:
        if server.process.poll() is None:
            server.process.terminate()
        server.process.communicate(timeout=120)


def servers_of(name: str) -> dict[str, str]:
    return ServerSet(name).attach().status()


def test_it_serves_says_what_runs_stops_in_order_and_starts_again(start):
    server = start()
    server.up()

    assert server.get("/health").json() == {"status": "ok"}
    assert all(server.get("/api/health/databases").json().values())
    assert server.get("/admin/login/").status_code == 200
    state = ServerSet(server.name).folder / "state.json"
    assert re.search(r'"password": "([^"]+)"', state.read_text())[1] not in server.said
    servers = ("primary", "others", "replica", "redis", "mongodb")
    for named in (*servers, "web", "streams", "worker", "beat"):
        assert re.search(rf"^  {named} ", server.said, re.MULTILINE), named
    login = re.search(r"admin@example.com  (\S+)", server.said)[1]

    parts = [server.part(name) for name in ("web", "worker", "beat")]
    os.killpg(server.process.pid, signal.SIGINT)  # As a terminal's Ctrl-C does.

    assert server.end() == 130
    order = [server.said.index(f"Stopping {what} ...") for what in ("web", "beat", "worker")]
    order.append(server.said.index("Stopping the servers ..."))
    assert order == sorted(order)
    assert not any(session_of(part) for part in parts)
    assert set(servers_of(server.name).values()) == {"stopped"}

    again = start()
    again.up()
    assert "applied" in again.said
    assert re.search(r"admin@example.com  (\S+)", again.said)[1] == login
    again.process.send_signal(signal.SIGTERM)
    assert again.end() == 0


def test_a_part_that_dies_is_reported_and_ends_everything(start):
    server = start()
    server.up()

    os.kill(server.part("worker").pid, signal.SIGKILL)

    assert server.end() == 1
    assert "worker ended with status -9" in server.said
    assert set(servers_of(server.name).values()) == {"stopped"}


def test_after_kill_9_the_next_start_recovers(start):
    server = start()
    server.up()
    parts = [server.part(name) for name in ("web", "worker", "beat")]

    server.process.kill()
    server.process.communicate()
    again = start()
    again.up()

    assert not any(session_of(part) for part in parts)
    assert again.get("/health").status_code == 200
    assert all(again.get("/api/health/databases").json().values())


def test_down_elsewhere_stops_the_site_before_the_servers(start):
    server = start()
    server.up()

    done = subprocess.run(
        [sys.executable, "-m", "devservers", "down", "--set", server.name],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert "has stopped them" in done.stdout
    assert server.end() == 0
    assert server.said.index("Stopping web") < server.said.index("Stopping the servers")


def test_a_second_one_on_the_same_data_is_refused_with_a_sentence(start):
    server = start()
    server.read_until("Starting the servers")
    eventually(lambda: ServerSet(server.name).owner() is not None)

    other = start()

    assert other.end() == 1
    assert f"runs from this checkout already (process {server.process.pid})" in other.said


def test_a_taken_port_is_said_before_anything_starts(the_set):
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        taken = squatter.getsockname()[1]

        server = Server(the_set, taken)

        assert server.end() == 1
    assert f"Port {taken} of 127.0.0.1 is taken" in server.said
    assert "PORT=" in server.said
    assert "Starting the servers" not in server.said
