"""Dump one PostgreSQL database and its server's roles, in one snapshot, while the site writes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from databases.backup import catalogue, programs, running
from databases.backup.manifest import DatabaseDump
from databases.backup.progress import Progress
from databases.backup.running import ProgramFailed
from databases.backup.targets import Source

LOCK_SECONDS: Final = 60
"""How long a dump waits for a migration that holds a table."""
WORTH_JOBS: Final = 1 << 30
"""Bytes of a database from which several connections dump it sooner than one."""
MOST_JOBS: Final = 4


def dump(
    source: Source,
    folder: Path,
    *,
    jobs: int | None,
    progress: Progress,
    held: Sequence[int],
) -> DatabaseDump:
    """Write one database into the folder and return what it holds.

    Rows are counted in the very snapshot that pg_dump reads.

    :param jobs: connections that dump at once; by the database's size by default.
    :raises NotReached: when the server does not let us in.
    :raises ProgramsMissing: without pg_dump of the server's major version.
    :raises ProgramFailed: when it fails.
    """
    program = programs.find("pg_dump", major=source.major)
    jobs = jobs or _jobs_for(source.size)
    path = folder / (f"{source.name}.dump" if jobs == 1 else source.name)
    with source.target.connect() as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        snapshot, taken_at, database = _snapshot(connection)
        sequences = catalogue.sequences(connection)
        tables = catalogue.count(connection)
        migrations = catalogue.migrations(connection)
        progress.expect(len(tables))
        command: list[str | Path] = [
            program, "--no-password", f"--dbname={source.target.conninfo()}",
            f"--snapshot={snapshot}", f"--lock-wait-timeout={LOCK_SECONDS * 1000}",
            f"--format={'custom' if jobs == 1 else 'directory'}", "--verbose", f"--file={path}",
            *([f"--jobs={jobs}"] if jobs > 1 else []),
        ]  # fmt: skip
        running.run(command, password=source.target.password, line=_watching(progress), held=held)
        connection.execute("COMMIT")
    return DatabaseDump(
        name=source.name,
        aliases=source.aliases,
        path=path.name,
        jobs=jobs,
        major=source.major,
        version=source.version,
        server=source.server,
        database=database,
        size=source.size,
        taken_at=taken_at,
        tables=tables,
        sequences=sequences,
        migrations=migrations,
    )


def dump_roles(source: Source, folder: Path, *, held: Sequence[int]) -> tuple[str, str]:
    """Write the roles of a database's server, without passwords.

    :returns: the file's name, or an empty one and why there is none: a service may forbid it.
    """
    path = folder / f"{source.name}-roles.sql"
    try:
        running.run(
            [
                programs.find("pg_dumpall", major=source.major), "--no-password", "--roles-only",
                "--no-role-passwords", f"--dbname={source.target.conninfo()}",
                f"--database={source.target.settings['NAME']}", f"--file={path}",
            ],
            password=source.target.password,
            held=held,
        )  # fmt: skip
    except (programs.ProgramsMissing, ProgramFailed) as error:
        path.unlink(missing_ok=True)
        return "", f"{source.name}: the roles of its server are not in it ({error.detail})"
    return path.name, ""


def _snapshot(connection: catalogue.Connection) -> tuple[str, str, str]:
    row: Any = connection.execute(
        "SELECT pg_export_snapshot(), now()::text, current_database()"
    ).fetchone()
    return row[0], row[1], row[2]


def _jobs_for(size: int) -> int:
    return min(MOST_JOBS, os.cpu_count() or 1) if size >= WORTH_JOBS else 1


def _watching(progress: Progress) -> running.Line:
    def line(text: str) -> None:
        if "dumping contents of table" in text:
            progress.moved()

    return line
