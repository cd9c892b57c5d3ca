"""The contracts of pyproject.toml, as the architecture's tests read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from importlinter.api import read_configuration

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = ROOT / "pyproject.toml"
MACHINERY = frozenset({"common", "config", "databases", "outbox"})
"""Packages that ship and are built otherwise than the apps above them."""
NOT_SHIPPED = frozenset({"benchmarks", "devservers", "tests"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Contracts:
    """What import-linter is told."""

    root_packages: tuple[str, ...]
    by_id: dict[str, dict[str, Any]]

    @property
    def layers(self) -> list[set[str]]:
        """Return the packages of each layer, the highest first, optional ones included."""
        return [_names(layer) for layer in self.by_id["layers"]["layers"]]


def _names(layer: str) -> set[str]:
    return {name.strip(" ()") for name in layer.split("|")}


def read_contracts() -> Contracts:
    """Read them from pyproject.toml."""
    configuration = read_configuration(str(PYPROJECT))
    return Contracts(
        root_packages=tuple(configuration["session_options"]["root_packages"]),
        by_id={contract["id"]: contract for contract in configuration["contracts_options"]},
    )
