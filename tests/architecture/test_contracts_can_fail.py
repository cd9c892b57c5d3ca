"""Every import contract catches a violation that is planted in a copy of the tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.architecture.contracts import PYPROJECT, ROOT, read_contracts

CONTRACTS = read_contracts()

PLANTED: dict[str, list[tuple[str, str]]] = {
    "layers": [
        ("common/planted.py", "import databases.aliases"),
        ("databases/planted.py", "import accounts.apps"),
        ("accounts/planted.py", "import customers.apps"),
        ("caches/planted.py", "import documents.apps"),
        ("compliance/planted.py", "import analytics.apps"),
        ("documents/planted.py", "import workspace.apps"),
        ("workspace/planted.py", "import config.urls"),
    ],
    "inside-an-app": [
        ("caches/models.py", "import caches.admin"),
        ("documents/querysets.py", "import documents.models"),
        ("analytics/utils.py", ""),
        ("customers/signals.py", ""),
    ],
    "no-circles": [
        ("databases/aliases.py", "import databases.router"),
        ("common/errors.py", "import common.http"),
    ],
    "config-is-the-root": [
        ("common/planted.py", "from config.settings.env import text"),
        ("outbox/planted.py", "import config.urls"),
    ],
    "settings-import-these": [
        ("databases/aliases.py", "import django.conf"),
        ("databases/dsn.py", "import psycopg"),
        ("databases/pools.py", "import databases.apps"),  # which imports django
    ],
    "drivers": [
        ("caches/planted.py", "import redis"),
        ("databases/planted.py", "from pymongo import MongoClient"),
    ],
    "shipping": [
        ("caches/planted.py", "import devservers"),
        ("config/planted.py", "import tests.architecture"),
        ("databases/planted.py", "import benchmarks"),
    ],
}
"""Contract → (file, the line that is added to it, each of which alone breaks the contract)."""
for _contract in CONTRACTS.by_id:
    if _contract.endswith("-tables"):
        _owner = _contract.removesuffix("-tables")
        PLANTED[_contract] = [("config/planted.py", f"import {_owner}.models")]


@pytest.fixture(scope="module")
def copied_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what import-linter reads: the Python files of our packages, and pyproject.toml."""
    copy = tmp_path_factory.mktemp("tree")
    for package in CONTRACTS.root_packages:
        ignored = shutil.ignore_patterns("__pycache__", "static", "templates", "*.json", "*.csv")
        shutil.copytree(ROOT / package, copy / package, ignore=ignored)
    shutil.copy(PYPROJECT, copy)
    return copy


@contextmanager
def planted(file: Path, line: str) -> Iterator[None]:
    """Add `line` to `file`, which is made where it is missing, and take it away again."""
    before = file.read_text() if file.exists() else None
    file.write_text(f"{before or ''}\n{line}\n")
    try:
        yield
    finally:
        if before is None:
            file.unlink()
        else:
            file.write_text(before)


def lint(tree: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    """Run import-linter as script/lint does, on `tree`."""
    limits = [f"--contract={contract}" for contract in contracts]
    # Its cache takes a file that changed twice within a second for the same.
    lint_imports = str(Path(sys.executable).with_name("lint-imports"))
    command = [lint_imports, "--no-logo", "--no-cache", *limits]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


def test_the_tree_keeps_every_contract(copied_tree: Path) -> None:
    answer = lint(copied_tree)

    assert answer.returncode == 0, answer.stdout
    assert f"{len(CONTRACTS.by_id)} kept, 0 broken" in answer.stdout


def test_every_contract_has_a_planted_violation() -> None:
    assert PLANTED.keys() == CONTRACTS.by_id.keys()


@pytest.mark.parametrize(
    ("contract", "file", "line"),
    [(contract, file, line) for contract, lines in PLANTED.items() for file, line in lines],
)
def test_a_violation_breaks_its_contract(
    copied_tree: Path, contract: str, file: str, line: str
) -> None:
    with planted(copied_tree / file, line):
        answer = lint(copied_tree, contract)

    assert answer.returncode == 1
    assert "0 kept, 1 broken" in answer.stdout, answer.stdout
    module = file.removesuffix(".py").replace("/", ".")
    # A circle has no culprit: import-linter names the package that holds it.
    named = f"No cycles are allowed in {Path(file).parent}" if contract == "no-circles" else module
    assert named in answer.stdout
