"""Run PostgreSQL's programs: passwords by environment, files for the owner alone, words kept."""

from __future__ import annotations

import os
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from common.errors import PolystoreError
from common.redaction import redact

KEPT: Final = ("PATH", "HOME", "USER", "LANG", "LD_LIBRARY_PATH", "TMPDIR")
PRIVATE: Final = 0o077
"""Umask of everything that belongs to a backup."""
MOST_WORDS: Final = 40
Line = Callable[[str], object]


class ProgramFailed(PolystoreError):
    """One of PostgreSQL's programs ended with an error; the message is its own last one."""

    code = "backups.program_failed"
    status = 500
    title = "A program of PostgreSQL failed"
    remedy = "Mend what the message says and run the command again; nothing was left half done."


def environment(password: str) -> Mapping[str, str]:
    """Return the environment of a program: libpq's variables, and the password beside the argv."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT or name.startswith(("PG", "SSL"))
    }
    return {**kept, "LC_ALL": "C", **({"PGPASSWORD": password} if password else {})}


def run(
    command: Sequence[str | Path],
    *,
    password: str,
    line: Line | None = None,
    held: Sequence[int] = (),
) -> None:
    """Run a program to its end.

    :param line: is told each line that it says.
    :param held: descriptors that stay open as long as it runs: a lock is held by it, too.
    :raises ProgramFailed: with its last word when it fails.
    """
    with started(command, password=password, held=held) as child:
        words = heard(child.stderr, line)
    require_success(command, child.returncode, words)


@contextmanager
def started(
    command: Sequence[str | Path],
    *,
    password: str,
    held: Sequence[int] = (),
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """Give a running program to the block, which reads what it says; it never outlives it."""
    with subprocess.Popen(
        [str(part) for part in command],
        env=environment(password),
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        umask=PRIVATE,
        pass_fds=tuple(held),
    ) as child:
        try:
            yield child
        except BaseException:
            child.kill()
            raise


def heard(stream: IO[bytes] | None, line: Line | None = None) -> list[str]:
    """Read what a program says to its end; return the last lines, without secrets."""
    last: deque[str] = deque(maxlen=MOST_WORDS)
    for raw in stream or ():
        text = redact(raw.decode(errors="replace").rstrip())
        last.append(text)
        if line is not None:
            line(text)
    return list(last)


def require_success(command: Sequence[str | Path], code: int, words: Sequence[str]) -> None:
    """Return when a program ended well.

    :raises ProgramFailed: with what it said about its error.
    """
    if code == 0:
        return
    name = Path(command[0]).name
    errors = [text for text in words if "error" in text.lower() or "fatal" in text.lower()]
    said = " ".join((errors or list(words) or ["no word"])[-1].split())[:400]
    raise ProgramFailed(f"{name} ended with status {code}: {said.removeprefix(f'{name}: ')}")
