"""The client of the geocoder of the U.S. Census Bureau: one address, or many in one file.

Which benchmark is asked is its newest public one, by its lasting name.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from caches.services.geocoding.addresses import Address, Parts
from caches.services.geocoding.exchange import BATCH_BYTES, as_json, ask, require_success
from caches.services.geocoding.replies import (
    Failure,
    Place,
    ProviderFailed,
    Quality,
    Reply,
    Verdict,
    place_of,
)

NAME: Final = "census"
BENCHMARK: Final = "Public_AR_Current"
MOST_AT_ONCE: Final = 500
"""Rows of a file. 10,000 are allowed; large files fail more often, and lose more when they do."""
NEAR: Final = 0.001
"""Degrees (some 100 m) within which several matches are one place."""
_BOUNDARY: Final = "polystore-addresses"


class Census:
    """Asks one server."""

    name = NAME

    def __init__(self, url: str) -> None:
        """Ask the server at `url`."""
        self._url = url.rstrip("/")

    def geocode(self, address: Address, *, seconds: float) -> Reply:
        """Return what is known of an address.

        :raises ProviderFailed: when there is no whole answer.
        """
        query = urlencode({"address": address.text, "benchmark": BENCHMARK, "format": "json"})
        answer = ask(
            f"{self._url}/geocoder/locations/onelineaddress?{query}",
            seconds=seconds,
            headers={"Accept": "application/json"},
        )
        require_success(answer)
        found = as_json(answer)
        result = found.get("result") if isinstance(found, dict) else None
        matches = result.get("addressMatches") if isinstance(result, dict) else None
        # Without the list it is no answer: a status of 200 is sent with errors, too.
        if not isinstance(matches, list):
            raise ProviderFailed(Failure.PARTIAL)
        return _concluded([_place(match) for match in matches])

    def geocode_many(
        self, asked: Mapping[str, Parts], *, seconds: float
    ) -> Mapping[str, Reply | None]:
        """Return what is known of several addresses; None for those that deserve another question.

        The file finds less than the single question does: what it does not match is not a no.

        :param asked: an id of ours to the columns of its row; at most MOST_AT_ONCE.
        :raises ProviderFailed: when the answer is no whole file with all rows.
        """
        rows = list(asked.items())
        answer = ask(
            f"{self._url}/geocoder/locations/addressbatch",
            seconds=seconds,
            headers={"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"},
            body=_form([parts for _, parts in rows]),
            most=BATCH_BYTES,
        )
        require_success(answer)
        told = _rows(answer.body, len(rows))
        return {key: told[number] for number, (key, _) in enumerate(rows, start=1)}


def _place(match: Any) -> Place:
    coordinates = match.get("coordinates") if isinstance(match, dict) else None
    if not isinstance(coordinates, dict):
        raise ProviderFailed(Failure.PARTIAL)
    return place_of(coordinates.get("y"), coordinates.get("x"), Quality.INTERPOLATED)


def _concluded(places: Sequence[Place]) -> Reply:
    if not places:
        return Reply(verdict=Verdict.NO_MATCH, provider=NAME)
    first = places[0]
    apart = max(max(abs(one.lat - first.lat), abs(one.lon - first.lon)) for one in places)
    if apart > NEAR:
        return Reply(verdict=Verdict.AMBIGUOUS, provider=NAME)
    return Reply(verdict=Verdict.MATCH, provider=NAME, place=first)


def _form(rows: Sequence[Parts]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    for number, parts in enumerate(rows, start=1):
        writer.writerow([number, parts.street, parts.city, parts.state, parts.zip_code])
    fields = (
        ('name="benchmark"', BENCHMARK),
        ('name="addressFile"; filename="addresses.csv"\r\nContent-Type: text/csv', file.getvalue()),
    )
    told = "".join(
        f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n"
        for head, value in fields
    )
    return f"{told}--{_BOUNDARY}--\r\n".encode()


def _rows(body: bytes, count: int) -> Mapping[int, Reply | None]:
    """Return the answers by the numbers of their rows.

    :raises ProviderFailed: when rows are missing, or stand for nothing that was asked.
    """
    found: dict[int, Reply | None] = {}
    try:
        for row in csv.reader(io.StringIO(body.decode())):
            if row:
                found[int(row[0])] = _of_row(row)
    except (ValueError, IndexError, csv.Error):
        raise ProviderFailed(Failure.PARTIAL) from None
    if found.keys() != set(range(1, count + 1)):
        raise ProviderFailed(Failure.PARTIAL)
    return found


def _of_row(row: Sequence[str]) -> Reply | None:
    """Return what a row says: id, input, Match|No_Match|Tie, kind, matched, "lon,lat", …"""
    if row[2] == "Match":
        lon, _, lat = row[5].partition(",")
        place = place_of(lat, lon, Quality.INTERPOLATED)
        return Reply(verdict=Verdict.MATCH, provider=NAME, place=place)
    if row[2] == "Tie":
        return Reply(verdict=Verdict.AMBIGUOUS, provider=NAME)
    if row[2] != "No_Match":
        raise ProviderFailed(Failure.PARTIAL)
    return None
