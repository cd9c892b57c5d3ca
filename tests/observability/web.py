"""Programs of the site as subprocesses, with their log lines as they come."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


class Program:
    """A running program; `wait_for` reads its structured log lines until one fits."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.raw: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(
        self, fits: Callable[[dict[str, Any]], bool], *, seconds: float = 60
    ) -> dict[str, Any]:
        """Return the first line that fits. Fails with everything that was written."""
        try:
            while (line := self._lines.get(timeout=seconds)) is not None:
                found = parsed(line)
                if fits(found):
                    return found
        except queue.Empty:
            pass
        raise AssertionError("no line fits; it wrote:\n" + "".join(self.raw))

    def stop(self) -> None:
        """End it the way an operator does, and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.raw.append(line)
            self._lines.put(line)
        self._lines.put(None)


def parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[Program]:
    """Run `python -m ARGUMENTS` with the tests' environment and `environment`."""
    program = Program(list(arguments), {**os.environ, "LOG_FORMAT": "json", **environment})
    try:
        yield program
    finally:
        program.stop()


def a_free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
