"""Addresses: how they are told apart. The same address written in another way is the same key."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from django.utils.crypto import salted_hmac

from common.errors import PolystoreError

SHORTEST: Final = 4
LONGEST: Final = 256
_SALT: Final = "caches.geocode.1"
"""Counts up with the rules below: keys of older rules are not found any more."""

_WORDS: Final = {
    long: short
    for short, spellings in {
        "ALY": "ALLEY ALLY",
        "AVE": "AVENUE AV AVEN",
        "BLVD": "BOULEVARD BOUL BLV",
        "BND": "BEND",
        "CIR": "CIRCLE CIRC",
        "CT": "COURT",
        "CV": "COVE",
        "DR": "DRIVE DRV",
        "EXPY": "EXPRESSWAY",
        "HTS": "HEIGHTS",
        "HWY": "HIGHWAY HIWAY",
        "LN": "LANE",
        "LOOP": "LOOPS",
        "MT": "MOUNT",
        "PKWY": "PARKWAY PKY",
        "PL": "PLACE",
        "PLZ": "PLAZA",
        "PT": "POINT",
        "RD": "ROAD",
        "RTE": "ROUTE",
        "SQ": "SQUARE",
        "ST": "STREET STR",
        "TER": "TERRACE TERR",
        "TPKE": "TURNPIKE",
        "TRL": "TRAIL",
        "WAY": "WY",
        "N": "NORTH",
        "S": "SOUTH",
        "E": "EAST",
        "W": "WEST",
        "NE": "NORTHEAST",
        "NW": "NORTHWEST",
        "SE": "SOUTHEAST",
        "SW": "SOUTHWEST",
        "#": "APT APARTMENT STE SUITE UNIT NO",
        "1ST": "FIRST",
        "2ND": "SECOND",
        "3RD": "THIRD",
        "4TH": "FOURTH",
        "5TH": "FIFTH",
        "6TH": "SIXTH",
        "7TH": "SEVENTH",
        "8TH": "EIGHTH",
        "9TH": "NINTH",
        "10TH": "TENTH",
    }.items()
    for long in spellings.split()
}
_STATES: Final = {
    "ALABAMA": "AL", "ALASKA": "AK", "ARIZONA": "AZ", "ARKANSAS": "AR", "CALIFORNIA": "CA",
    "COLORADO": "CO", "CONNECTICUT": "CT", "DELAWARE": "DE", "DISTRICT OF COLUMBIA": "DC",
    "FLORIDA": "FL", "GEORGIA": "GA", "HAWAII": "HI", "IDAHO": "ID", "ILLINOIS": "IL",
    "INDIANA": "IN", "IOWA": "IA", "KANSAS": "KS", "KENTUCKY": "KY", "LOUISIANA": "LA",
    "MAINE": "ME", "MARYLAND": "MD", "MASSACHUSETTS": "MA", "MICHIGAN": "MI", "MINNESOTA": "MN",
    "MISSISSIPPI": "MS", "MISSOURI": "MO", "MONTANA": "MT", "NEBRASKA": "NE", "NEVADA": "NV",
    "NEW HAMPSHIRE": "NH", "NEW JERSEY": "NJ", "NEW MEXICO": "NM", "NEW YORK": "NY",
    "NORTH CAROLINA": "NC", "NORTH DAKOTA": "ND", "OHIO": "OH", "OKLAHOMA": "OK", "OREGON": "OR",
    "PENNSYLVANIA": "PA", "RHODE ISLAND": "RI", "SOUTH CAROLINA": "SC", "SOUTH DAKOTA": "SD",
    "TENNESSEE": "TN", "TEXAS": "TX", "UTAH": "UT", "VERMONT": "VT", "VIRGINIA": "VA",
    "WASHINGTON": "WA", "WEST VIRGINIA": "WV", "WISCONSIN": "WI", "WYOMING": "WY",
    "PUERTO RICO": "PR", "GUAM": "GU", "AMERICAN SAMOA": "AS", "VIRGIN ISLANDS": "VI",
    "NORTHERN MARIANA ISLANDS": "MP",
}  # fmt: skip
_COUNTRY: Final = (("UNITED", "STATES", "OF", "AMERICA"), ("UNITED", "STATES"), ("USA",), ("US",))
_BETWEEN: Final = re.compile(r"[^\w#/-]+|_+")
_ZIP: Final = re.compile(r"(\d{5})(?:-?\d{4})?")
_ONE_LINE: Final = re.compile(
    r"(?P<street>[^,]+(?:,[^,]+)?),\s*(?P<city>[^,]+),\s*(?P<state>[A-Za-z]{2})\b[,\s]*"
    r"(?P<zip>\d{5})?(?:-\d{4})?\s*"
)


class AddressRefused(PolystoreError):
    """The text is no address that could be looked up."""

    code, status, title = "caches.address_refused", 422, "No address"
    remedy = "Send an address on one line: house number and street, city, state, ZIP code."


@dataclass(frozen=True, slots=True)
class Address:
    """An address that somebody asks about. Shows neither text nor key where it is written down."""

    text: str = field(repr=False)
    """On one line, as it was typed."""
    key: str = field(repr=False)
    """What stands for it in the database."""


@dataclass(frozen=True, slots=True)
class Parts:
    """An address in the columns that batches want."""

    street: str = field(repr=False)
    city: str = field(repr=False)
    state: str = field(repr=False)
    zip_code: str = field(repr=False)


def address_of(text: str) -> Address:
    """Return the address that `text` is.

    :raises AddressRefused: when it is too short, too long or has no letters; never repeats it.
    """
    line = " ".join(
        "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in text).split()
    )
    if not SHORTEST <= len(line) <= LONGEST:
        raise AddressRefused(f"An address has {SHORTEST} to {LONGEST} characters.")
    if not any(sign.isalpha() for sign in line):
        raise AddressRefused("An address has letters.")
    return Address(text=line, key=key_of(line))


def key_of(line: str) -> str:
    """Return the keyed hash of an address. Without SECRET_KEY nobody can try addresses out."""
    return salted_hmac(_SALT, normalised(line), algorithm="sha256").hexdigest()


def normalised(line: str) -> str:
    """Return an address in the spelling of the postal service: upper case, short words, ZIP5."""
    plain = unicodedata.normalize("NFKD", line).upper().replace("#", " # ").replace(".", "")
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    words = [word for word in _BETWEEN.sub(" ", plain.replace("'", "")).split() if word != "-"]
    words, zip_code = _without_zip(_without(words, _COUNTRY))
    for length in (3, 2, 1):
        code = _STATES.get(" ".join(words[-length:])) if len(words) > length else None
        if code is not None:
            words[-length:] = [code]
            break
    state = words[-1:]  # it is no word of a street: NE is Nebraska there, CT Connecticut
    short = [_WORDS.get(word, word) for word in words[:-1]] + state
    return " ".join(_each_number_once(short) + zip_code)


def parts_of(line: str) -> Parts | None:
    """Return the columns of an address with commas between them; None where they cannot be told."""
    found = _ONE_LINE.fullmatch(line)
    if found is None:
        return None
    return Parts(
        street=found["street"].strip(),
        city=found["city"].strip(),
        state=found["state"].upper(),
        zip_code=found["zip"] or "",
    )


def _without(words: list[str], endings: tuple[tuple[str, ...], ...]) -> list[str]:
    for ending in endings:
        if len(words) > len(ending) and tuple(words[-len(ending) :]) == ending:
            return words[: -len(ending)]
    return words


def _without_zip(words: list[str]) -> tuple[list[str], list[str]]:
    found = _ZIP.fullmatch(words[-1]) if len(words) > 1 else None
    return (words[:-1], [found[1]]) if found else (words, [])


def _each_number_once(words: list[str]) -> list[str]:
    """Return the words without a mark that another one follows: `APT # 4` is `# 4`."""
    return [
        word for word, following in zip(words, [*words[1:], ""], strict=True)
        if not word == following == "#"
    ]  # fmt: skip
