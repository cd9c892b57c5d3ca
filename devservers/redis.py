"""Redis on 127.0.0.1 with a password."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from devservers.errors import MachineUnfit
from devservers.ground import Server
from devservers.places import make_folder


class RedisServer(Server):
    """A Redis server; what it holds survives a restart where the set is durable."""

    kind = "redis"
    program = "redis-server"
    stop_signal = signal.SIGTERM

    def prepare(self) -> None:
        """Write the configuration; the password stands in a file, never on a command line."""
        if not self.folder.exists():
            make_folder(self.folder, user=self.ground.user)
        keep = "yes" if self.ground.durable else "no"
        save = "300 1" if self.ground.durable else '""'
        lines = (
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self.ground.password}",
            f"dir {self.folder}",
            f"appendonly {keep}",
            f"save {save}",
            "daemonize no",
        )
        path = self.folder / "redis.conf"
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        if self.ground.user is not None:
            os.chown(path, self.ground.user.uid, self.ground.user.gid)

    def command(self) -> Sequence[str | Path]:
        """Return the command line."""
        if self.ground.programs.redis is None:
            raise MachineUnfit("Redis's program was not looked for.")
        return [self.ground.programs.redis, self.folder / "redis.conf"]

    def answers(self) -> bool:
        """Say whether Redis has read its data and answers to our password."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.ground.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (part := connection.recv(1024)):
                    answer += part
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"

    def url(self) -> str:
        """Return the URL of database 0, password included."""
        return f"redis://:{quote(self.ground.password, safe='')}@127.0.0.1:{self.port}/0"
