"""Checks of the repository's text: no secrets, sound locks, nothing that names one machine.

`python script/_repository.py secrets|locks|places [--root FOLDER]` prints what it found, one
finding a line, and exits 1 where there is any. `secrets --accept` writes today's findings to
`.secrets.baseline`, for values that look like secrets and are none: look at each before.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from detect_secrets.core import baseline
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import default_settings
from packaging.requirements import InvalidRequirement, Requirement

BASELINE = ".secrets.baseline"
LOCKS = re.compile(r"^requirements/.*\.txt$")
NOT_OURS = re.compile(r"(^|/)(\.(?!ci)[^/]+|__pycache__|staticfiles|media)/")
COMMON_FOLDERS = re.compile(r"/usr/src")
"""A folder below the top that many machines have: to name it tells nothing about this one."""
OF_A_PERSON = re.compile(r"(?<![\w.:~-])/(?:home|Users)/[A-Za-z][\w.-]*|(?<![\w.])/root/\.?\w")
INDEX_VARIABLES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
PUBLIC_HOSTS = frozenset({"pypi.org", "files.pythonhosted.org", "localhost", "127.0.0.1", None})
PLACES = re.compile(r"(?:^|\s)(?:-i|-f|--\S*index\S*|--find-links|--trusted-host)\b|://|\bfile:")


def files_of(root: Path) -> list[str]:
    """Return the paths of the repository's files, without what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        names = [name for name in listed.stdout.split("\0") if name]
    else:  # an unpacked archive
        every = (path.relative_to(root).as_posix() for path in root.rglob("*"))
        names = [name for name in every if not NOT_OURS.search(name)]
    return sorted(name for name in names if (root / name).is_file())


def lines_of(root: Path, name: str) -> Iterator[tuple[int, str]]:
    """Yield (number, line) of a text file; nothing of a binary one."""
    content = (root / name).read_bytes()
    if b"\0" not in content:
        yield from enumerate(content.decode(errors="replace").splitlines(), start=1)


# ── Secrets ──────────────────────────────────────────────────────────────────────────────────────


def found_secrets(root: Path) -> SecretsCollection:
    """Return what looks like a secret, in every file but the locks, which are full of hashes."""
    os.chdir(root)  # or the findings would hold absolute paths
    found = SecretsCollection()
    for name in files_of(root):
        if not LOCKS.match(name) and name != BASELINE:
            found.scan_file(name)
    for name, secret in list(found):
        if _made_up(name, secret.type):
            found[name].discard(secret)
    return found


def _made_up(name: str, kind: str) -> bool:
    """Tell whether a finding is of the kinds that tests of URLs and logins are full of."""
    return name.startswith("tests/") and kind in {"Basic Auth Credentials", "Secret Keyword"}


def secrets(root: Path) -> Iterator[str]:
    """Yield every secret that the baseline does not know."""
    accepted = root / BASELINE
    with default_settings():
        known = SecretsCollection()
        if accepted.exists():
            known = baseline.load(json.loads(accepted.read_text()), str(accepted))
        new = found_secrets(root) - known
    for name, secret in new:
        yield f"{name}:{secret.line_number}: looks like a secret ({secret.type})"


def accept_secrets(root: Path) -> None:
    """Write today's findings to the baseline."""
    with default_settings():
        # Slim: without line numbers and dates, which change when nothing did.
        accepted = baseline.format_for_output(found_secrets(root), is_slim_mode=True)
    (root / BASELINE).write_text(json.dumps(accepted, indent=2) + "\n")


# ── Locks ────────────────────────────────────────────────────────────────────────────────────────


def locks(root: Path) -> Iterator[str]:
    """Yield what makes a lock unsound: no hash, a place, or a requirement that it misses."""
    folder = root / "requirements"
    pins: dict[str, dict[str, set[str]]] = {}
    for lock in sorted(folder.glob("*.txt")):
        text = lock.read_text()
        yield from (f"requirements/{lock.name}: {fault}" for fault in _unsound_lines(text))
        pins[lock.stem] = _pins(text)
    for source in sorted(folder.glob("*.in")):
        lock_name = f"requirements/{source.stem}.txt"
        if source.stem not in pins:
            yield f"{lock_name}: is missing; run script/lock"
            continue
        for requirement in _requirements(source.read_text()):
            versions = pins[source.stem].get(_canonical(requirement.name), set())
            if not any(requirement.specifier.contains(v, prereleases=True) for v in versions):
                yield f"{lock_name}: does not hold {requirement}; run script/lock"
    for package, versions in pins.get("base", {}).items():
        if "dev" in pins and pins["dev"].get(package) != versions:
            yield f"requirements/dev.txt: tests another {package} than production installs"


def _unsound_lines(text: str) -> Iterator[str]:
    for entry in _entries(text):
        pinned = entry.split()[0]
        if PLACES.search(entry):
            yield f"{pinned} names a place to download from"
        elif "==" not in pinned:
            yield f"{pinned} is not pinned"
        elif "--hash=sha256:" not in entry:
            yield f"{pinned} has no hash"


def _entries(text: str) -> Iterator[str]:
    """Yield every entry on one line, without comments."""
    joined = re.sub(r"\\\n", " ", re.sub(r"(?m)(^|\s)#.*$", "", text))
    yield from (line.strip() for line in joined.splitlines() if line.strip())


def _pins(text: str) -> dict[str, set[str]]:
    """Return the versions of each package; markers may choose among several."""
    found: dict[str, set[str]] = {}
    for entry in _entries(text):
        if match := re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)", entry):
            found.setdefault(_canonical(match[1]), set()).add(match[2])
    return found


def _requirements(text: str) -> Iterator[Requirement]:
    for entry in _entries(text):
        if not entry.startswith("-"):
            try:
                yield Requirement(entry)
            except InvalidRequirement as error:
                raise SystemExit(f"{entry}: {error}") from None


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# ── Places ───────────────────────────────────────────────────────────────────────────────────────


def places(root: Path) -> Iterator[str]:
    """Yield every line that names a folder or a host of one machine."""
    here = _this_machine(root)
    for name in files_of(root):
        for number, line in lines_of(root, name):
            if OF_A_PERSON.search(line) or (here and here.search(line)):
                yield f"{name}:{number}: names a folder or a host of one machine"


def _this_machine(root: Path) -> re.Pattern[str] | None:
    """Return what matches this checkout's folders, this machine's name and its package index."""
    folders = {path for path in (root, *root.parents) if not _says_little(path)}
    parts = [rf"(?<![\w.~-]){re.escape(str(folder))}(?![\w.-])" for folder in folders]
    indexes = " ".join(os.environ.get(name, "") for name in INDEX_VARIABLES).split()
    hosts = {urlsplit(index).hostname for index in indexes} - PUBLIC_HOSTS
    machine = socket.gethostname()
    if len(machine) >= 8 and any(sign.isdigit() for sign in machine):
        hosts.add(machine)
    parts += [rf"(?<![\w.-]){re.escape(host)}(?![\w-])" for host in hosts if host]
    return re.compile("|".join(parts)) if parts else None


def _says_little(path: Path) -> bool:
    """Tell whether a path with the name of this folder may well mean something else.

    A folder at the top, such as /check, is spelled like the path of an endpoint.
    """
    return len(path.parts) <= 2 or COMMON_FOLDERS.fullmatch(str(path)) is not None


CHECKS: dict[str, Callable[[Path], Iterator[str]]] = {
    "secrets": secrets,
    "locks": locks,
    "places": places,
}


def main() -> int:
    """Run one check and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("check", choices=CHECKS)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1])
    parser.add_argument("--accept", action="store_true", help="write the baseline of secrets")
    options = parser.parse_args()
    if options.accept:
        accept_secrets(options.root)
        return 0
    findings = list(CHECKS[options.check](options.root))
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
