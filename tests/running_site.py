"""The whole site as people run it: gunicorn and Celery in processes of their own, real servers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests import secrets_watch
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV")
SECRET_KEY = "only-for-this-test-run"
METRICS_TOKEN = "the-collectors-token"
SAMPLE = str(ROOT / "caches" / "data" / "sample_zones.geojson")
IN_A_ZONE = "/api/opportunity-zones/check?lat=38.885&lon=-77.035"
"""A point in one of the sample's zones."""


class Site:
    """A running site; `manage` runs commands in its environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Take the variables that name its servers."""
        self.port = free_port()
        secrets_watch.used(SECRET_KEY)
        self.environment = {
            **{name: os.environ[name] for name in KEPT if name in os.environ},
            "DJANGO_SETTINGS_MODULE": "config.settings.local",
            "DEBUG": "false",
            "SECRET_KEY": SECRET_KEY,
            "METRICS_TOKEN": METRICS_TOKEN,
            "OPPORTUNITY_ZONES_SNAPSHOTS": "off",
            "BIND": f"127.0.0.1:{self.port}",
            "PORT": str(self.port),
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def manage(self, *arguments: str, check: bool = True, **extra: str) -> Any:
        """Run a management command and return the finished process with its output."""
        return self._run("manage.py", *arguments, check=check, **extra)

    def python(self, code: str) -> str:
        """Run Python code in its environment and return what it printed."""
        printed: str = self._run("-c", code).stdout
        return printed

    def _run(self, *arguments: str, check: bool = True, **extra: str) -> Any:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment | extra,
            capture_output=True,
            text=True,
            timeout=600,  # the test has a bound of its own
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def start(self, *, workers: int = 2) -> subprocess.Popen[bytes]:
        """Start the web processes, wait until they serve, and return their parent."""
        web = self.spawn(
            *("gunicorn", "-c", "config/gunicorn.py", "config.wsgi:application"),
            WEB_CONCURRENCY=str(workers),
        )
        eventually(self._serves)
        return web

    def spawn(self, module: str, *arguments: str, **extra: str) -> subprocess.Popen[bytes]:
        """Start `python -m module …` in a session of its own; its log is searched for secrets."""
        log = tempfile.TemporaryFile()  # noqa: SIM115 - read and closed when the session ends
        secrets_watch.watch.files.append(log)
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=self.environment | extra,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a process of the site and its children at once, whatever they are doing."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        self._processes.remove(process)

    def stop(self) -> None:
        """Stop everything that was started here."""
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)
        self._processes.clear()

    def get(self, path: str, **kwargs: Any) -> httpx.Response:
        """Ask on a connection of its own, so that any worker may answer."""
        kwargs.setdefault("timeout", 30)
        return httpx.get(self.url(path), **kwargs)

    def url(self, path: str) -> str:
        """Return the full address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def _serves(self) -> bool:
        assert all(process.poll() is None for process in self._processes), "The site ended."
        try:
            return self.get("/health").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def running(environment: Mapping[str, str], *, workers: int = 2) -> Iterator[Site]:
    """Migrate and run a site over the servers that `environment` names."""
    site = Site(environment)
    site.manage("migrate_all")
    try:
        site.start(workers=workers)
        yield site
    finally:
        site.stop()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody uses right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
