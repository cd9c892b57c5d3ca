"""What is left of a process that was killed is cleared away, and nobody else is harmed."""

from __future__ import annotations

import signal
from pathlib import Path

import psycopg
import pytest

from devservers.processes import ServerProcesses, all_pids, identity_of, send
from devservers.sets import ServerSet
from devservers.state import read_state
from tests.waiting import eventually

OWNER = """
import sys
from pathlib import Path
from devservers.sets import ServerSet
name, checkout, throwaway = sys.argv[1:]
servers = ServerSet(name, checkout=Path(checkout), throwaway=throwaway == "yes")
servers.up(("primary", "redis"))
print(servers.url_of("default"), servers._watchdog.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def owner(python, make_set):
    """Start a process that owns a set; return the process, the set's handle and its watchdog."""
    begun = []

    def start(*, throwaway: bool):
        servers = make_set("owned", throwaway=throwaway)
        process = python(OWNER, servers.name, str(servers.checkout), "yes" if throwaway else "no")
        begun.append(process)
        _, watchdog = process.stdout.readline().split()
        return process, servers, int(watchdog)

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def processes_of(servers: ServerSet) -> list[int]:
    return [
        pid
        for name, program in (("primary", "postgres"), ("redis", "redis-server"))
        for pid in ServerProcesses(folder=servers.folder / name, program=program).pids()
    ]


def test_a_killed_owner_takes_its_throw_away_servers_with_it(owner):
    process, servers, _ = owner(throwaway=True)
    sockets = Path(read_state(servers.folder).sockets)
    assert len(processes_of(servers)) > 4

    process.send_signal(signal.SIGKILL)

    eventually(lambda: not servers.folder.exists())
    assert not processes_of(servers)
    assert not sockets.exists()


def test_a_killed_owner_stops_servers_whose_data_counts(owner):
    process, servers, _ = owner(throwaway=False)

    process.send_signal(signal.SIGKILL)

    eventually(lambda: not processes_of(servers))
    eventually(lambda: read_state(servers.folder).owner is None)
    servers.up(("primary", "redis"))
    assert servers.status() == {"primary": "up", "redis": "up"}


def test_servers_that_outlived_owner_and_watchdog_are_taken_over(owner):
    process, servers, watchdog = owner(throwaway=False)
    before = identity_of(int((servers.folder / "primary/postmaster.pid").read_text().split()[0]))
    send([watchdog], signal.SIGKILL)
    process.kill()
    process.wait()
    assert processes_of(servers)

    servers.up(("primary", "redis"))

    assert servers.pid("primary") == before.pid
    assert servers.status() == {"primary": "up", "redis": "up"}


def test_servers_that_were_left_paused_are_taken_over_too(owner):
    process, servers, watchdog = owner(throwaway=False)
    send([watchdog], signal.SIGKILL)
    process.kill()
    process.wait()
    ServerProcesses(folder=servers.folder / "primary", program="postgres").pause()

    servers.up(("primary", "redis"))

    assert servers.sql("default", "SELECT 1") == [(1,)]


def test_throw_away_servers_that_outlived_everybody_end_with_the_next_run(owner, make_set):
    process, servers, watchdog = owner(throwaway=True)
    send([watchdog], signal.SIGKILL)
    process.kill()
    process.wait()
    assert processes_of(servers)

    make_set("later").up(("redis",))

    assert not processes_of(servers)
    assert not servers.folder.exists()


def test_a_crash_of_servers_and_owner_leaves_a_set_that_starts(owner):
    process, servers, watchdog = owner(throwaway=False)
    with psycopg.connect(f"{_url(servers)}") as client:
        client.execute("CREATE TABLE kept (id int)")
    send([watchdog, process.pid], signal.SIGKILL)
    process.wait()
    send(processes_of(servers), signal.SIGKILL)
    eventually(lambda: not processes_of(servers))

    servers.up(("primary", "redis"))

    assert servers.sql("default", "SELECT * FROM kept") == []


def _url(servers: ServerSet) -> str:
    return ServerSet(servers.name, checkout=servers.checkout).attach().url_of("default")


def test_a_stale_pid_that_another_program_has_now_stops_and_harms_nobody(make_set, python):
    servers = make_set(throwaway=False).up(("primary",))
    servers.down()
    stranger = python("input()")
    lock = servers.folder / "primary" / "postmaster.pid"
    lock.write_text(f"{stranger.pid}\n{servers.folder / 'primary'}\n1\n{5432}\n\n\n\nready\n")

    servers.up(("primary",))

    assert servers.sql("default", "SELECT 1") == [(1,)]
    assert stranger.poll() is None
    stranger.communicate("\n")


def test_a_program_that_works_in_a_servers_folder_is_left_alone(make_set, python):
    servers = make_set(throwaway=False).up(("redis",))
    visitor = python("import os, sys; os.chdir(sys.argv[1]); print(); input()", str(servers.folder))
    visitor.stdout.readline()

    servers.down()

    assert visitor.poll() is None
    assert visitor.pid in all_pids()
    visitor.communicate("\n")


def test_servers_whose_folder_was_deleted_under_them_are_found_and_ended(make_set):
    servers = make_set(throwaway=False).up(("redis",), owned=False)
    pid = servers.pid("redis")
    (servers.folder / "redis" / "redis.conf").unlink()
    for path in sorted((servers.folder / "redis").rglob("*"), reverse=True):
        path.unlink()
    (servers.folder / "redis").rmdir()

    again = ServerSet(servers.name, checkout=servers.checkout)
    again.up(("redis",))

    assert again.status() == {"redis": "up"}
    assert again.pid("redis") != pid
    again.down()
