"""How addresses are told apart, and that nothing shows them."""

from __future__ import annotations

import csv

import pytest

from caches.services.geocoding.addresses import (
    AddressRefused,
    Parts,
    address_of,
    key_of,
    normalised,
    parts_of,
)


@pytest.mark.parametrize(
    "other",
    [
        "4600 SILVER HILL RD WASHINGTON DC 20233",
        "4600 Silver Hill Road, Washington, D.C. 20233-0001",
        "  4600  silver hill rd.,\tWashington , district of columbia, 20233 ",
        "4600 Silver Hill Rd, Washington, DC 20233, USA",
        "4600 Sílver Hill Rd; Washington; DC; 20233; United States",
    ],
)
def test_the_same_address_written_otherwise_is_the_same_key(other: str) -> None:
    assert key_of(other) == key_of("4600 Silver Hill Rd, Washington, DC 20233")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12 Main St Apt 4, Denver, CO", "12 Main St Apt 5, Denver, CO"),
        ("12 N Main St, Denver, CO", "12 S Main St, Denver, CO"),
        ("12 Main St, Denver, CO", "12 Main Ave, Denver, CO"),
        ("12 Main St, Denver, CO", "12-14 Main St, Denver, CO"),
        ("12 Main St, Denver, CO", "12 1/2 Main St, Denver, CO"),
        ("12 Main St, Denver, CO 80202", "12 Main St, Denver, CO 80203"),
    ],
)
def test_different_addresses_are_different_keys(one: str, other: str) -> None:
    assert key_of(one) != key_of(other)


def test_units_suffixes_ordinals_and_states_have_one_spelling() -> None:
    assert normalised("5 Fifth Avenue, Apt. #3, New York, New York 10003") == (
        "5 5TH AVE # 3 NEW YORK NY 10003"
    )
    assert normalised("1 North Court Street, Omaha, Nebraska") == "1 N CT ST OMAHA NE"
    assert normalised("1 State St, Hartford, CT") == "1 STATE ST HARTFORD CT"


@pytest.mark.parametrize("text", ["", "  ", "a 1", "12345 6789", "x" * 257, "\x00\x01\x02\x03"])
def test_what_is_no_address_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        address_of(text)
    assert len(text) < 3 or text not in str(refused.value)


def test_an_address_shows_neither_its_text_nor_its_key() -> None:
    address = address_of("4600 Silver Hill Rd, Washington, DC 20233")
    assert repr(address) == "Address()"
    assert str(address) == "Address()"
    assert "Silver" not in repr(parts_of(address.text))


def test_another_secret_makes_other_keys(settings) -> None:
    before = key_of("12 Main St, Denver, CO")
    settings.SECRET_KEY = "another-secret-key-of-the-tests"
    assert key_of("12 Main St, Denver, CO") != before


def test_columns_are_told_where_there_are_commas() -> None:
    assert parts_of("12 Main St, Denver, CO 80202-1234") == Parts(
        "12 Main St", "Denver", "CO", "80202"
    )
    assert parts_of("12 Main St, Apt 3, Denver, co") == Parts(
        "12 Main St, Apt 3", "Denver", "CO", ""
    )
    assert parts_of("12 Main St Denver CO 80202") is None


def test_real_addresses_with_one_key_lie_in_one_place(real_folder) -> None:
    """Those of the regression set: what has one key must have one answer."""
    seen: dict[str, tuple[float, float]] = {}
    with (real_folder / "expected_lookups.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            point = (float(row["lat"]), float(row["lon"]))
            line = f"{row['address']}, {row['city']}, {row['state']} {row['zip']}"
            first = seen.setdefault(key_of(line), point)
            assert max(abs(first[0] - point[0]), abs(first[1] - point[1])) < 0.0025
    assert len(seen) > 2000
