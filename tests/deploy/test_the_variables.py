"""Every variable that is read is explained, and nothing else is."""

from __future__ import annotations

import re

import pytest

from databases.aliases import SPECS
from tests.architecture.contracts import ROOT

READ = re.compile(
    r"\b(?:text|flag|integer|items|number|secret|url)\(\s*\"([A-Z][A-Z0-9_]+)\""
    r"|environ(?:\.get\(|\.setdefault\(|\[)\s*\"([A-Z][A-Z0-9_]+)\""
)
NOT_OURS = {"PATH", "HOME", "XDG_RUNTIME_DIR", "TMPDIR"}


def variables_read() -> set[str]:
    """Return the names that configuration and databases read."""
    names = {name for spec in SPECS.values() for name in spec.variables}
    for path in [*ROOT.glob("config/**/*.py"), *ROOT.glob("databases/*.py")]:
        names |= {first or second for first, second in READ.findall(path.read_text())}
    return names - NOT_OURS


@pytest.mark.parametrize("document", [".env.example", "README.md"])
def test_every_variable_that_is_read_is_explained(document: str) -> None:
    explained = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", (ROOT / document).read_text()))

    assert variables_read() - explained == set()


def test_the_example_sets_nothing() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()

    assert [line for line in lines if line and not line.startswith("#")] == []
