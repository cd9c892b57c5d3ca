"""What production installs is what the code needs: nothing undeclared, nothing idle."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.contracts import NOT_SHIPPED, ROOT, read_contracts

CONTRACTS = read_contracts()
USED_BY_NAME = {
    "argon2-cffi": "Django's Argon2PasswordHasher",
    "gunicorn": "the command that serves the site",
    "uvicorn": "the command that serves open streams",
    "whitenoise": "a middleware and a storage in settings",
}
"""Named in a setting or run as a command, and so imported nowhere here."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(file: str) -> set[str]:
    """Return the packages that a file of requirements names itself."""
    lines = (ROOT / "requirements" / file).read_text().splitlines()
    names = (
        re.match(r"[A-Za-z0-9._-]+", line) for line in lines if not line.startswith(("#", "-"))
    )
    return {canonical(name[0]) for name in names if name}


def imported(package: str) -> Iterator[str]:
    """Yield the top-level names that the modules of `package` import."""
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def needed(packages: set[str]) -> set[str]:
    """Return the distributions that `packages` import, by canonical name."""
    provided = importlib.metadata.packages_distributions()
    names = {name for package in packages for name in imported(package)}
    ours = {path.name for path in Path(ROOT).iterdir()}
    return {
        canonical(distribution)
        for name in names - ours - set(sys.stdlib_module_names)
        for distribution in provided.get(name, [f"{name} (not installed)"])
    }


def test_production_installs_all_that_ships_needs() -> None:
    shipped = set(CONTRACTS.root_packages) - NOT_SHIPPED
    # psycopg[pool] brings the pool: an extra of a package that is declared.
    assert needed(shipped) - declared("base.in") == {"psycopg-pool"}


def test_production_installs_nothing_that_nobody_uses() -> None:
    shipped = set(CONTRACTS.root_packages) - NOT_SHIPPED

    assert declared("base.in") - needed(shipped) == USED_BY_NAME.keys()


def test_tests_and_servers_declare_what_they_import() -> None:
    everything = declared("base.in") | declared("dev.in") | {"psycopg-pool"}

    assert needed(set(CONTRACTS.root_packages) & NOT_SHIPPED) <= everything
