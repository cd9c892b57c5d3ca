"""No package of ours escapes the contracts, and no name of ours hides a dependency."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

from django.apps import AppConfig, apps

from tests.architecture.contracts import MACHINERY, NOT_SHIPPED, ROOT, read_contracts

CONTRACTS = read_contracts()


def our_apps() -> list[AppConfig]:
    """Return the installed apps that live in this checkout."""
    return [
        config for config in apps.get_app_configs() if Path(config.path).resolve().parent == ROOT
    ]


def our_packages() -> set[str]:
    """Return the names of the checkout's importable folders."""
    return {path.parent.name for path in ROOT.glob("*/__init__.py")}


def test_every_package_is_read_by_import_linter() -> None:
    assert our_packages() == set(CONTRACTS.root_packages)


def test_every_installed_app_of_ours_is_in_a_layer() -> None:
    names = {config.name for config in our_apps()}

    assert names
    assert names <= set().union(*CONTRACTS.layers)


def test_every_package_that_ships_is_in_a_layer() -> None:
    assert our_packages() - NOT_SHIPPED <= set().union(*CONTRACTS.layers)


def test_every_app_keeps_the_vocabulary() -> None:
    """The outbox has modules of its own, so it has a contract of its own when it comes."""
    containers = {
        container
        for contract in CONTRACTS.by_id.values()
        for container in contract.get("containers", ())
    }

    assert {config.name for config in our_apps()} - MACHINERY <= containers


def test_every_package_that_ships_keeps_the_door_of_the_drivers() -> None:
    assert our_packages() - NOT_SHIPPED == set(CONTRACTS.by_id["drivers"]["source_modules"])


def test_no_package_of_ours_may_hold_a_circle() -> None:
    looked_at = set(CONTRACTS.by_id["no-circles"]["ancestors"])

    assert our_packages() - {"benchmarks", "tests"} == looked_at


def test_every_app_owns_its_tables() -> None:
    with_tables = {config.name for config in our_apps() if list(config.get_models())}
    protected = {
        contract.removesuffix("-tables")
        for contract in CONTRACTS.by_id
        if contract.endswith("-tables")
    }

    assert with_tables == protected


def test_no_name_of_ours_is_a_name_of_a_dependency() -> None:
    taken = set(importlib.metadata.packages_distributions()) | set(sys.stdlib_module_names)

    assert not our_packages() & taken
