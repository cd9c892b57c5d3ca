"""`script/server`: the servers, and the site on them; everything ends with this process.

Usage: python -m devservers.run [--set NAME]

The order is servers, migrations, admin, zones, web, streams, worker, beat. On Ctrl-C (or SIGTERM,
or when a part ends by itself) web, streams, beat and worker stop before the servers.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devservers.errors import ServersError
from devservers.ground import await_condition, port_is_taken
from devservers.interrupts import StopAsked, StopSignals
from devservers.places import CHECKOUT, private_folder_of
from devservers.processes import identity_of, launch, session_of
from devservers.sets import ServerSet

SET = "server"
ADMIN = "admin@example.com"
PATIENCE_SECONDS = {"web": 35.0, "streams": 5.0, "beat": 10.0, "worker": 20.0}
WEB_SECONDS = 60.0


class SiteError(ServersError):
    """The site could not be started, or a part of it ended."""

    code = "devservers.site_failed"
    remedy = ""

    def __init__(self, detail: str, *, exit_code: int = 1) -> None:
        """Keep the exit code that this process ends with."""
        super().__init__(detail)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A process of the site."""

    name: str
    child: subprocess.Popen[bytes]
    log: Path


class Site:
    """Web, worker and beat over a set of servers."""

    def __init__(self, servers: ServerSet, *, port: int) -> None:
        """Describe the site on `port` of 127.0.0.1."""
        self.servers = servers
        self.port = port
        self.stream_port = next(
            one for one in range(port + 1, port + 100) if not port_is_taken(one)
        )
        self.private = private_folder_of()
        self.parts: list[Part] = []

    @property
    def url(self) -> str:
        """Return where the site is served."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Return the environment of everything that runs on the servers."""
        ours = self.servers.environment()
        theirs = os.environ.get("POSTGRES_BIN_DIR")  # a server of the user's may need them, too
        if theirs:
            folders = (theirs, ours.get("POSTGRES_BIN_DIR", ""))
            ours["POSTGRES_BIN_DIR"] = os.pathsep.join(filter(None, folders))
        return {
            "DJANGO_SETTINGS_MODULE": "config.settings.local",
            **os.environ,
            **ours,
            "PORT": str(self.port),
            "BIND": f"127.0.0.1:{self.port}",
            "STREAM_URL": os.environ.get("STREAM_URL") or f"http://127.0.0.1:{self.stream_port}",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONUNBUFFERED": "1",
            "PROMETHEUS_MULTIPROC_DIR": str(self._metrics()),
        }

    # Preparing

    def prepare(self) -> None:
        """Migrate, make sure of the admin and seed the zones.

        :raises SiteError: when one of them failed, after it has told why.
        """
        done = subprocess.run(
            [sys.executable, "script/_prepare.py", ADMIN],
            cwd=CHECKOUT,
            env=self.environment(),
            input=f"{self.admin_password()}\n",
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SiteError(
                "The databases could not be prepared; the reason stands above.",
                exit_code=done.returncode,
            )

    def admin_password(self) -> str:
        """Return the development admin's password, made at random once and kept in `.polystore`."""
        path = self.private / "admin-password"
        with contextlib.suppress(FileNotFoundError):
            if kept := path.read_text(encoding="utf-8").strip():
                return kept
        password = secrets.token_urlsafe(12)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{password}\n")
        return password

    # Running

    def start(self) -> None:
        """Start web, streams, worker and beat; the web answers when this returns."""
        self._start("web", "gunicorn", "-c", "config/gunicorn.py", "config.wsgi:application")
        await_condition(
            self._serves,
            timeout=WEB_SECONDS,
            failure=lambda: SiteError(f"The web does not answer ({self._log('web')})."),
        )
        self._start(
            "streams", "uvicorn", "config.asgi:application",
            "--host", "127.0.0.1", "--port", str(self.stream_port), "--no-access-log",
            "--lifespan", "off", "--ws", "none",
        )  # fmt: skip
        # After the web, which empties the folder that all of them count in.
        self._start("worker", "celery", "-A", "config", "worker", "--concurrency", "6")
        self._start("beat", "celery", "-A", "config", "beat", "--pidfile=")

    def _start(self, name: str, module: str, *arguments: str) -> None:
        log = self._log(name)
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as output:
            child = launch(
                [sys.executable, "-m", module, *arguments],
                folder=CHECKOUT, environment=self.environment(), user=None, output=output,
            )  # fmt: skip
        self.parts.append(Part(name=name, child=child, log=log))
        self.servers.accompany(child.pid)

    def _metrics(self) -> Path:
        """Return the folder in which web and worker count together."""
        folder = self.private / "metrics" / self.servers.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _log(self, name: str) -> Path:
        return self.private / "logs" / self.servers.name / f"{name}.log"

    def _serves(self) -> bool:
        self.look()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def look(self) -> None:
        """Notice a part that ended.

        :raises SiteError: naming it, with its exit code and the end of its log.
        """
        for part in self.parts:
            code = part.child.poll()
            if code is not None:
                words = part.log.read_text(encoding="utf-8", errors="replace").strip()
                last = "\n".join(f"  | {line}" for line in words.splitlines()[-15:])
                raise SiteError(
                    f"{part.name} ended with status {code}; its log {part.log} ends with:\n{last}",
                    exit_code=code if code > 0 else 1,
                )

    def watch(self, wait: Callable[[], None]) -> None:
        """Look at the parts whenever `wait` returns; ends by an exception only."""
        while True:
            self.look()
            wait()

    def stop(self) -> None:
        """Stop web, streams, beat and worker, in this order."""
        order = {"web": 0, "streams": 1, "beat": 2, "worker": 3}
        for part in sorted(self.parts, key=lambda part: order[part.name]):
            self._stop(part)
        self.parts = []

    def _stop(self, part: Part) -> None:
        leader = identity_of(part.child.pid)
        if part.child.poll() is None:
            say(f"Stopping {part.name} ...")
            part.child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                part.child.wait(PATIENCE_SECONDS[part.name])
        if part.child.poll() is None and leader is not None:
            for pid in session_of(leader):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            part.child.wait()


def say(text: str) -> None:
    """Print at once; a terminal that is gone is nobody to tell."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def port_from_environment() -> int:
    """Return PORT, 8000 by default.

    :raises SiteError: when it is no port, or another program has it.
    """
    wanted = os.environ.get("PORT", "").strip() or "8000"
    if not wanted.isdecimal() or not 0 < int(wanted) < 65536:
        raise SiteError("PORT is not a number between 1 and 65535.")
    if port_is_taken(int(wanted)):
        raise SiteError(
            f"Port {wanted} of 127.0.0.1 is taken by another program: stop it, or choose another "
            f"port, for example PORT={min(int(wanted) + 80, 65535)} script/server."
        )
    return int(wanted)


def banner(site: Site) -> str:
    """Return what runs where, the admin's login and three things to try; no server's password."""
    servers = site.servers
    python = Path(sys.executable)
    if python.is_relative_to(CHECKOUT):
        python = python.relative_to(CHECKOUT)
    lines = [
        "",
        f"Polystore runs at {site.url}",
        "",
        *(f"  {name:<10} {servers.describe(name)}" for name in servers.servers),
        *(f"  {name:<10} a server of yours" for name in sorted(servers.given)),
        *(f"  {part.name:<10} process {part.child.pid}, log {part.log}" for part in site.parts),
        "",
        f"Admin: {site.url}/admin/  {ADMIN}  {site.admin_password()}",
        "  (for development; kept in .polystore/admin-password)",
        "",
        "Try:",
        f"  curl '{site.url}/api/opportunity-zones/check?lat=34.05&lon=-118.25'",
        f"  {site.url}/api/docs",
        f'  eval "$({python} -m devservers env)" && {python} manage.py describe_databases',
        "",
        "Ctrl-C stops everything; the data stays.",
    ]
    return "\n".join(lines)


def serve(servers: ServerSet, wait: Callable[[], None]) -> None:
    """Bring everything up and watch it; stops web, beat and worker, but not the servers.

    :raises ServersError: when something cannot start or ends by itself.
    """
    if (owner := servers.owner()) is not None:
        raise SiteError(
            f"Polystore runs from this checkout already (process {owner.pid}): stop it first, "
            "with Ctrl-C there or `python -m devservers down`."
        )
    servers.recover()
    site = Site(servers, port=port_from_environment())
    say("Starting the servers ...")
    servers.up(owner_stops=True)
    try:
        site.prepare()
        site.start()
        say(banner(site))
        site.watch(wait)
    finally:
        site.stop()


def main() -> int:
    """Run until somebody asks to stop; 0 after SIGTERM, 130 after Ctrl-C, else what went wrong."""
    parser = argparse.ArgumentParser(prog="script/server", description=__doc__)
    parser.add_argument("--set", default=SET, metavar="NAME", help="which servers")
    servers = ServerSet(parser.parse_args().set, given=os.environ)
    stop = StopSignals()
    code = 1
    try:
        serve(servers, stop.wait)
    except StopAsked as asked:
        code = 130 if asked.number == signal.SIGINT else 0
    except ServersError as error:
        say(f"script/server: {error}")
        code = error.exit_code if isinstance(error, SiteError) else 1
    finally:
        stop.heed_no_more()
        if servers.is_ours:
            say("Stopping the servers ...")
            servers.down()
            say("Stopped.")
    return code


if __name__ == "__main__":
    sys.exit(main())
