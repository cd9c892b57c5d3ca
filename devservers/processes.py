"""Finding, starting, pausing and ending processes on Linux, safe against reused process ids.

A server's processes are recognised by the folder that they work in and the program that they run,
both read from /proc: a number in a stale file is never believed.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

DELETED = " (deleted)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    started: int
    """Clock ticks since boot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUser:
    """The unprivileged account that servers run under when root starts them."""

    name: str
    uid: int
    gid: int


def _stat_fields(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the program's name, or None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def identity_of(pid: int) -> Identity | None:
    """Return the identity of a living process, None when it has ended (a zombie has ended)."""
    fields = _stat_fields(pid)
    if fields is None or fields[0] in "ZX":
        return None
    return Identity(pid=pid, started=int(fields[19]))


def is_alive(identity: Identity | None) -> bool:
    """Say whether exactly this process still runs."""
    return identity is not None and identity_of(identity.pid) == identity


def parent_of(pid: int) -> int:
    """Return the parent's process id, 0 when the process is gone."""
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else 0


def is_paused(pid: int) -> bool:
    """Say whether the process is stopped by SIGSTOP."""
    fields = _stat_fields(pid)
    return fields is not None and fields[0] in "Tt"


def _link(pid: int, name: str) -> str:
    """Return where a link of /proc/PID leads, marked when that was deleted; empty: unknown."""
    try:
        return str(Path(f"/proc/{pid}/{name}").readlink())
    except OSError:
        return ""


def all_pids() -> list[int]:
    """Return the ids of all processes that can be seen."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def send(pids: Iterable[int], signal_number: int) -> None:
    """Send a signal to every process that still exists."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)


def wait_until_ended(identities: Iterable[Identity], *, timeout: float) -> bool:
    """Wait at most `timeout` seconds; return whether all of the processes have ended."""
    deadline = time.monotonic() + timeout
    return all(_wait_for_end(identity, deadline) for identity in identities)


def _wait_for_end(identity: Identity, deadline: float) -> bool:
    try:
        watch = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return True
    except OSError:  # A kernel or sandbox without pidfd.
        while is_alive(identity) and time.monotonic() < deadline:
            time.sleep(0.01)
        return not is_alive(identity)
    try:
        if not is_alive(identity):
            return True
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        return not is_alive(identity)
    finally:
        os.close(watch)


def session_of(leader: Identity) -> list[int]:
    """Return the living processes of the session that `leader` began, also after its own end.

    The number of a session is not given to a new process while the session has members; a process
    of that number that started at another time is somebody else's leader.
    """
    found = identity_of(leader.pid)
    if found is not None and found != leader:
        return []
    members = []
    for pid in all_pids():
        fields = _stat_fields(pid)
        if fields is None or fields[0] in "ZX":
            continue
        if int(fields[3]) == leader.pid and int(fields[19]) >= leader.started:
            members.append(pid)
    return members


def end_session(leader: Identity, *, patience: float) -> None:
    """Ask the leader of a session to stop, then end whatever of the session is left."""
    members = [found for pid in session_of(leader) if (found := identity_of(pid))]
    if leader in members:
        send([leader.pid], signal.SIGTERM)
        wait_until_ended([leader], timeout=patience)
    while members := [found for pid in session_of(leader) if (found := identity_of(pid))]:
        send([member.pid for member in members], signal.SIGKILL)
        wait_until_ended(members, timeout=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProcesses:
    """The processes of one server: those that run `program` and work in `folder`."""

    folder: Path
    program: str

    def pids(self) -> list[int]:
        """Return the ids of the server's processes, its children included."""
        folder = str(self.folder)
        return [
            pid
            for pid in all_pids()
            if _link(pid, "cwd").removesuffix(DELETED) == folder
            and Path(_link(pid, "exe").removesuffix(DELETED)).name == self.program
            and identity_of(pid) is not None
        ]

    def lost_their_folder(self) -> bool:
        """Say whether somebody deleted the folder under the running server."""
        return any(_link(pid, "cwd").endswith(DELETED) for pid in self.pids())

    def main(self) -> Identity | None:
        """Return the process that started the others, None when the server does not run."""
        pids = self.pids()
        for pid in pids:
            if parent_of(pid) not in pids:
                return identity_of(pid)
        return None

    def pause(self) -> None:
        """Stop every process where it stands; new children cannot appear meanwhile."""
        main = self.main()
        if main is None:
            return
        send([main.pid], signal.SIGSTOP)
        while running := [pid for pid in self.pids() if not is_paused(pid)]:
            send(running, signal.SIGSTOP)
            time.sleep(0.002)  # Until the kernel has delivered it; nothing can be awaited here.

    def resume(self) -> None:
        """Let every process go on, the first one last."""
        main = self.main()
        if main is not None:
            send([pid for pid in self.pids() if pid != main.pid], signal.SIGCONT)
            send([main.pid], signal.SIGCONT)

    def is_paused(self) -> bool:
        """Say whether the server runs but is paused."""
        main = self.main()
        return main is not None and is_paused(main.pid)

    def kill(self) -> None:
        """End every process at once, as a power cut would."""
        main = self.main()
        if main is not None:
            send([main.pid], signal.SIGSTOP)  # So that it forks no more while we look.
        while pids := self.pids():
            identities = [found for pid in pids if (found := identity_of(pid))]
            send(pids, signal.SIGKILL)
            wait_until_ended(identities, timeout=5)

    def stop(self, *, signal_number: int, patience: float) -> None:
        """Ask the server to end, wait `patience` seconds for it, then kill what is left."""
        main = self.main()
        if main is not None:
            self.resume()
            identities = [found for pid in self.pids() if (found := identity_of(pid))]
            send([main.pid], signal_number)
            wait_until_ended(identities, timeout=patience)
        self.kill()


_launched: list[subprocess.Popen[bytes]] = []
"""Every program started here and not known to have ended: a server may outlive the object that
started it, and Python warns of children that nobody holds on to."""


@atexit.register
def _forget_what_ended() -> None:
    _launched[:] = [child for child in _launched if child.poll() is None]


def launch(
    command: Sequence[str | Path],
    *,
    folder: Path,
    environment: Mapping[str, str],
    user: ServerUser | None,
    output: IO[bytes] | int,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, so that the terminal's Ctrl-C does not reach it."""
    _forget_what_ended()
    child = subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        umask=0o077,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )
    _launched.append(child)
    return child
