"""What the machine lacks is named, each with the variable that uses another server."""

from __future__ import annotations

import pytest

from devservers.machine import MachineFacts, this_machine, what_is_missing

KINDS = ("postgres", "redis", "mongodb")


def facts(**changed):
    return MachineFacts(**{"system": "Linux", "machine": "x86_64", "glibc": (2, 36), **changed})


def test_a_fit_machine_lacks_nothing():
    assert what_is_missing(facts(), kinds=KINDS) == []


def test_a_missing_library_is_named_with_its_package_and_variable():
    lacking = facts(missing_libraries={"mongodb": ("libcurl.so.4",)})

    assert what_is_missing(lacking, kinds=KINDS) == [
        (
            "MongoDB's binary needs libcurl.so.4: install libcurl4, or set MONGO_URL to a server "
            "of yours."
        )
    ]


def test_a_library_that_only_an_unwanted_server_needs_is_not_missed():
    lacking = facts(missing_libraries={"mongodb": ("libcurl.so.4",)})

    assert what_is_missing(lacking, kinds=("postgres", "redis")) == []


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"system": "Darwin", "machine": "arm64"}, "this is Darwin arm64"),
        ({"machine": "aarch64"}, "this is Linux aarch64"),
        ({"glibc": (2, 31)}, "this machine has 2.31"),
        ({"glibc": None}, "another C library"),
    ],
)
def test_an_unfit_platform_is_said_once_with_every_variable(changed, named):
    (sentence,) = what_is_missing(facts(**changed), kinds=KINDS)

    assert named in sentence
    for variable in ("DATABASE_URL", "REDIS_URL", "MONGO_URL"):
        assert variable in sentence


def test_this_machine_knows_itself():
    found = this_machine()

    assert (found.system, found.machine) == ("Linux", "x86_64")
    assert found.glibc is not None
    assert found.glibc >= (2, 35)
