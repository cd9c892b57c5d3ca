"""Load one dump into a PostgreSQL database: in one transaction, proved before it commits."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from pathlib import Path
from typing import IO, Any, Final

from common.errors import PolystoreError
from databases.backup import catalogue, programs, running
from databases.backup.manifest import DatabaseDump
from databases.backup.progress import Progress
from databases.backup.running import ProgramFailed
from databases.backup.targets import Target

_KNOWN_ROLE: Final = "already exists"


class NotEmpty(PolystoreError):
    """The database to restore into holds tables."""

    code = "backups.not_empty"
    status = 409
    title = "The database is not empty"
    remedy = "Name an empty database, or give --replace: what it holds is lost then."


class TooOld(PolystoreError):
    """The server is older than the one that was dumped."""

    code = "backups.server_too_old"
    status = 409
    title = "The server is too old"
    remedy = "Use a server of the same major version or a newer one."


def require_fit(target: Target, dump: DatabaseDump, *, replace: bool) -> int:
    """Return the target's major version when the dump may be loaded into it.

    :raises NotReached: when it does not answer.
    :raises TooOld: when its server is older than the dump's.
    :raises NotEmpty: when it holds tables, unless `replace`.
    """
    with target.connect() as connection:
        row: Any = connection.execute(
            "SELECT current_setting('server_version_num')::int / 10000"
        ).fetchone()
        major = int(row[0])
        if major < dump.major:
            raise TooOld(f"{target.alias!r} is PostgreSQL {major}, the dump of {dump.major}.")
        if not replace and not catalogue.is_empty(connection):
            raise NotEmpty(f"{target.alias!r} ({target.address}) holds tables.")
    for name in ("pg_restore", "psql"):
        programs.find(name, major=major)
    return major


def load(
    target: Target,
    path: Path,
    dump: DatabaseDump,
    *,
    replace: bool,
    with_privileges: bool,
    progress: Progress,
    within: str = "",
) -> None:
    """Load the dump and prove it, all in one transaction: after an error nothing has changed.

    pg_restore writes SQL, psql runs it. COMMIT follows only when pg_restore has ended well and the
    rows and sequences are those of the manifest.

    :param within: SQL that commits with the rows, and is run after they were proved.
    :raises NotEmpty: when the database holds tables, unless `replace`.
    :raises ProgramFailed: when the dump is damaged, or the database does not take it.
    """
    major = require_fit(target, dump, replace=replace)
    progress.expect(len(dump.tables))
    reader: list[str | Path] = [
        programs.find("pg_restore", major=major), "--no-owner", "--verbose", "--file=-",
        *([] if with_privileges else ["--no-privileges"]), path,
    ]  # fmt: skip
    writer: list[str | Path] = [
        programs.find("psql", major=major), "--no-psqlrc", "--quiet", "--no-password",
        "--set=ON_ERROR_STOP=1", f"--dbname={target.conninfo()}", "--file=-",
    ]  # fmt: skip
    with running.started(writer, password=target.password, stdin=subprocess.PIPE) as psql:
        assert psql.stdin is not None  # noqa: S101 - asked for above
        words = _Listening(psql.stderr)
        complete = False
        try:
            _feed(psql.stdin, reader, dump, replace=replace, within=within, progress=progress)
            complete = True
        except BrokenPipeError:
            pass  # psql has ended with an error, which is told below
        finally:
            _close(psql.stdin)
        said = words.all()
        psql.wait()
    running.require_success(writer, psql.returncode, said)
    if not complete:
        raise ProgramFailed("pg_restore was ended before it had read the dump.")
    with target.connect() as connection:
        connection.execute("ANALYZE")


def load_roles(target: Target, path: Path, *, major: int) -> list[str]:
    """Make the roles of a dump on the target's server; return what it did not take.

    Roles that exist already stay, and take the dump's attributes. They have no passwords.
    """
    refused: list[str] = []

    def line(text: str) -> None:
        if "ERROR:" in text and _KNOWN_ROLE not in text:
            refused.append(text.partition("ERROR:")[2].strip())

    running.run(
        [
            programs.find("psql", major=major), "--no-psqlrc", "--quiet", "--no-password",
            f"--dbname={target.conninfo()}", f"--file={path}",
        ],
        password=target.password,
        line=line,
    )  # fmt: skip
    return refused


def rows_in(path: Path, *, major: int) -> dict[str, int]:
    """Return the rows of each table in a dump, read from end to end without any server.

    :returns: `schema.table`, without quotation marks, to its rows.
    :raises ProgramsMissing: without a pg_restore of that version or a newer one.
    :raises ProgramFailed: when the dump is damaged.
    """
    command: list[str | Path] = [
        programs.find_at_least("pg_restore", major=major),
        "--data-only",
        "--file=-",
        path,
    ]
    with running.started(command, password="", stdout=subprocess.PIPE) as reader:
        words = _Listening(reader.stderr)
        found = _counted(reader.stdout)
        said = words.all()
        reader.wait()
    running.require_success(command, reader.returncode, said)
    return found


def plain(name: str) -> str:
    """Return a table's name without the quotation marks that pg_dump may write."""
    return name.replace('"', "")


def _counted(stream: IO[bytes] | None) -> dict[str, int]:
    found: dict[str, int] = {}
    lines = iter(stream or ())
    for line in lines:
        if not line.startswith(b"COPY ") or not line.endswith(b" FROM stdin;\n"):
            continue
        name = line[5:].partition(b" (")[0].partition(b"  FROM")[0].decode()
        count = 0
        for row in lines:
            if row == b"\\.\n":
                break
            count += 1
        found[plain(name)] = found.get(plain(name), 0) + count
    return found


def _feed(
    stdin: IO[bytes],
    reader: list[str | Path],
    dump: DatabaseDump,
    *,
    replace: bool,
    within: str,
    progress: Progress,
) -> None:
    """Write all of the transaction into psql; without its COMMIT, psql rolls back."""

    def line(text: str) -> None:
        if "processing data for table" in text:
            progress.moved()

    stdin.write(b"BEGIN;\nSET LOCAL lock_timeout = '60s';\n")
    if replace:
        stdin.write(catalogue.CLEAR.encode())
    stdin.flush()
    with running.started(reader, password="", stdout=stdin) as pg_restore:
        words = running.heard(pg_restore.stderr, line)
    if pg_restore.returncode < 0 or "Broken pipe" in " ".join(words):
        raise BrokenPipeError
    running.require_success(reader, pg_restore.returncode, words)
    stdin.write(catalogue.proof(dump).encode())
    # pg_restore has emptied the search path; ours is that of the role.
    stdin.write(f"RESET search_path;\n{within}\n".encode())
    stdin.write(b"COMMIT;\n")
    stdin.flush()


def _close(stdin: IO[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError):
        stdin.close()


class _Listening:
    """Reads what a program says while its other ends are busy: a full pipe would stop it."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._words: list[str] = []
        self._thread = threading.Thread(target=self._listen, args=(stream,), daemon=True)
        self._thread.start()

    def _listen(self, stream: IO[bytes] | None) -> None:
        self._words = running.heard(stream)

    def all(self) -> list[str]:
        """Wait until the program is silent for good, and return its last lines."""
        self._thread.join()
        return self._words
