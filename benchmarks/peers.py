"""The other packages that benchmarks compare with, kept apart from what the project installs.

They come from `requirements/bench.txt` at the first use, into `.polystore/peers`, and stand at the
end of the import path: whatever they share with the project, the project's version is used.
"""

from __future__ import annotations

import hashlib
import importlib
import shutil
import subprocess
import sys
from types import ModuleType

from benchmarks.common import ROOT

LOCK = ROOT / "requirements" / "bench.txt"
FOLDER = ROOT / ".polystore" / "peers"


def peer(name: str) -> ModuleType:
    """Return a module of a peer, e.g. `multidb.pinning`, installing all peers where needed.

    :raises SystemExit: when they cannot be installed.
    """
    make_importable()
    return importlib.import_module(name)


def make_importable() -> None:
    """Have this process import peers from now on, installing them where needed.

    :raises SystemExit: when they cannot be installed.
    """
    folder = str(_installed())
    if folder not in sys.path:
        sys.path.append(folder)
        importlib.invalidate_caches()


def _installed() -> object:
    content = LOCK.read_bytes() + sys.version.encode()
    folder = FOLDER / hashlib.sha256(content).hexdigest()[:16]
    if folder.is_dir():
        return folder
    shutil.rmtree(FOLDER, ignore_errors=True)
    making = FOLDER / "unfinished"
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--no-input", "--no-deps", "--require-hashes", "--target", making,
            "--requirement", LOCK,
        ],
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit("The packages of requirements/bench.txt could not be installed.")
    return making.rename(folder)
