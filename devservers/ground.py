"""What the servers of one set share, and what every kind of server can do."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from devservers.errors import PortTaken, ServerDidNotStart
from devservers.processes import ServerProcesses, ServerUser, identity_of, launch
from devservers.programs import Programs

STANDARD_PORTS = frozenset({11211, 15432, 15672, 16379, 26379, 27017, 27018, 27019, 28017})
START_SECONDS = 60.0
LONGEST_LOG = 20_000_000
"""Bytes after which a server's log is begun anew at its next start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the servers of one set share."""

    folder: Path
    sockets: Path
    user: ServerUser | None
    programs: Programs
    password: str
    durable: bool
    """Data survives a crash of the machine; else nothing waits for the disk."""

    def environment(self) -> Mapping[str, str]:
        """Return the environment of servers: nothing of the caller's but where libraries are."""
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        path = os.environ.get("PATH", os.defpath)
        return {**kept, "PATH": path, "HOME": str(self.folder), "LC_ALL": "C", "TZ": "UTC"}


class Server:
    """One server: a program, its folder and its port on 127.0.0.1."""

    kind: ClassVar[str]
    program: ClassVar[str]
    """The name of the program's file."""
    stop_signal: ClassVar[int] = signal.SIGTERM
    stop_patience: ClassVar[float] = 30.0
    """Seconds until a server that was asked to stop is killed."""

    def __init__(self, ground: Ground, *, name: str, port: int) -> None:
        """Describe the server `name` of a set; nothing is started."""
        self.ground = ground
        self.name = name
        self.port = port
        self.folder = ground.folder / name
        self.log = ground.folder / "logs" / f"{name}.log"
        self.child: subprocess.Popen[bytes] | None = None

    @property
    def processes(self) -> ServerProcesses:
        """Return the server's processes."""
        return ServerProcesses(folder=self.folder, program=self.program)

    def prepare(self) -> None:
        """Make the server's folder and files where they are missing."""
        raise NotImplementedError

    def command(self) -> Sequence[str | Path]:
        """Return the command that runs the server in the foreground."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Say whether the server serves, without waiting for it."""
        raise NotImplementedError

    def launch(self) -> None:
        """Start the process without waiting until it serves.

        :raises PortTaken: when another program has the port.
        """
        if port_is_taken(self.port):
            raise PortTaken(f"Port {self.port}, which {self.name} uses, is taken.")
        fresh = self.log.exists() and self.log.stat().st_size > LONGEST_LOG
        descriptor = os.open(
            self.log, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if fresh else os.O_APPEND), 0o600
        )
        with os.fdopen(descriptor, "ab") as output:
            self.child = launch(
                self.command(),
                folder=self.folder,
                environment=self.ground.environment(),
                user=self.ground.user,
                output=output,
            )

    def wait_until_ready(self, *, timeout: float = START_SECONDS) -> None:
        """Return when the server serves.

        :raises ServerDidNotStart: when it ended or was silent for `timeout` seconds.
        """
        await_condition(self._serves, timeout=timeout, failure=self._silent)

    def _serves(self) -> bool:
        if self.answers():
            return True
        if self.child is not None and self.child.poll() is not None:
            raise ServerDidNotStart(
                f"{self.name} ended with status {self.child.returncode}: {self.last_words()} "
                f"(log: {self.log})."
            )
        return False

    def _silent(self) -> ServerDidNotStart:
        return ServerDidNotStart(f"{self.name} does not answer (log: {self.log}).")

    def last_words(self) -> str:
        """Return the last line of the log that tells of a failure."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:]
        except OSError:
            return ""
        telling = [line for line in lines if "FATAL" in line or "rror" in line]
        return (telling or lines or [""])[-1].strip()

    def is_running(self) -> bool:
        """Say whether any process of the server exists (paused or not)."""
        return bool(self.processes.pids())

    def stop(self) -> None:
        """Stop the server in order; does nothing when it does not run."""
        self.processes.stop(signal_number=self.stop_signal, patience=self.stop_patience)
        self.reap()

    def kill(self) -> None:
        """End the server at once."""
        self.processes.kill()
        self.reap()

    def reap(self) -> None:
        """Collect the exit status when the server was started by this very process."""
        if self.child is not None:
            self.child.wait()
            self.child = None

    def main_pid(self) -> int | None:
        """Return the id of the server's first process, None when it does not run."""
        if self.child is not None and identity_of(self.child.pid):
            return self.child.pid
        main = self.processes.main()
        return main.pid if main else None


def await_condition(
    condition: Callable[[], bool], *, timeout: float, failure: Callable[[], Exception]
) -> None:
    """Ask again, a little less often each time, until `condition` holds.

    :raises Exception: what `failure` makes, after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    pause = 0.005
    while not condition():
        if time.monotonic() > deadline:
            raise failure()
        time.sleep(pause)
        pause = min(pause * 1.3, 0.1)


def port_is_taken(port: int) -> bool:
    """Say whether another program listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def accepts_connections(port: int) -> bool:
    """Say whether somebody accepts a connection on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port(*, avoid: frozenset[int] = frozenset()) -> int:
    """Return a free port that no program gets by chance: outside the range for clients."""
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        low, high = map(int, text.split())
    except (OSError, ValueError):
        low, high = 32768, 60999
    choice = random.SystemRandom()
    candidates = [port for port in range(10240, 65000) if not low <= port <= high]
    while True:
        port = choice.choice(candidates or range(10240, 65000))
        if port not in STANDARD_PORTS | avoid and not port_is_taken(port):
            return port


@contextmanager
def ended_afterwards(*servers: Server) -> Iterator[None]:
    """End servers that were needed for a moment only, also when the block fails."""
    try:
        yield
    finally:
        for server in servers:
            server.stop()
