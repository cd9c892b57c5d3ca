"""A copy goes forwards only, whatever comes late, twice, or in any order."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from databases.stores import mongo, versioned
from databases.stores.versioned import Write

COLLECTION = "copies"


@pytest.fixture(autouse=True)
def empty():
    yield
    with mongo.database() as database:
        database.drop_collection(COLLECTION)


def put(*writes: Write) -> dict[str, str]:
    return versioned.write(COLLECTION, writes, at=timezone.now())


def copy(key: str) -> Any:
    with mongo.database() as database:
        return database[COLLECTION].find_one({"_id": key})


def test_a_newer_one_replaces_the_whole_copy() -> None:
    put(Write("1", 1, {"a": 1, "b": 1}))
    put(Write("1", 2, {"a": 2}))
    assert copy("1") == {"_id": "1", "a": 2, "_v": 2, "_live": True}


@pytest.mark.parametrize("late", [4, 5])
def test_what_is_older_or_the_same_changes_nothing(late) -> None:
    put(Write("1", 5, {"a": "new"}))
    assert put(Write("1", late, {"a": "late"})) == {}
    assert copy("1")["a"] == "new"


def test_a_tombstone_keeps_a_late_write_away_and_a_newer_row_comes_back() -> None:
    put(Write("1", 5, None))
    put(Write("1", 4, {"a": "late"}))
    assert "a" not in copy("1")

    put(Write("1", 6, {"a": "again"}))
    assert copy("1") == {"_id": "1", "a": "again", "_v": 6, "_live": True}


def test_values_that_look_like_commands_are_values() -> None:
    document = {"text": "$_v", "nested": {"list": [{"$literal": 1}]}}
    put(Write("1", 1, document))
    assert {name: copy("1")[name] for name in document} == document


def test_each_refusal_names_its_document_and_the_rest_is_written() -> None:
    refused = put(
        Write("1", 1, {"a": 1}), Write("2", 1, {"a": object()}), Write("3", 1, {"a": 1 << 80})
    )
    assert refused == {"2": "InvalidDocument", "3": "OverflowError"}
    assert copy("1") is not None
    assert copy("2") is None


@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=12))
def test_the_highest_version_wins_in_any_order(writes) -> None:
    with mongo.database() as database:
        database[COLLECTION].delete_many({})
    first_of = {}
    for version, gone in writes:
        first_of.setdefault(version, gone)
        put(Write("1", version, None if gone else {"a": version}))

    highest = max(first_of)
    assert copy("1")["_v"] == highest
    assert ("_live" in copy("1")) is not first_of[highest]


def test_the_highest_version_of_a_collection_is_found() -> None:
    assert versioned.highest_version(COLLECTION) == 0
    put(Write("1", 7, None), Write("2", 3, {}))
    assert versioned.highest_version(COLLECTION) == 7
