"""Opportunity zones over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from caches.services.sample import PLACES
from caches.services.seeding import seed
from caches.services.sources import SAMPLE
from tests.caches.drawing import many_squares, seed_oz2, write_folder
from tests.homes import databases_of

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("caches"))

CHECK = "/api/opportunity-zones/check"
STATUS = "/api/opportunity-zones/status"
MEMBERS = {
    "result",
    "tract",
    "matches",
    "program",
    "dataset",
    "resolution",
    "asOf",
    "sample",
    "distanceToBorderM",
}
_, _, lat, lon = PLACES[2]
LAT, LON = str(lat), str(lon)


@pytest.fixture
def sample() -> None:
    seed(location=str(SAMPLE), at=timezone.now())


def test_a_stranger_may_ask_and_gets_exactly_the_members_of_the_contract(
    sample: None, client: Client
) -> None:
    day = {"asOf": "2026-06-01"}
    answer = client.get(CHECK, {"lat": LAT, "lon": LON} | day)
    assert answer.status_code == 200
    said = answer.json()
    assert set(said) == MEMBERS
    assert (said["result"], said["sample"], said["asOf"]) == ("yes", True, "2026-06-01")
    assert said["matches"][0]["tract"] == said["tract"]
    posted = client.post(CHECK, {"lat": lat, "lon": lon} | day, content_type="application/json")
    assert posted.json() == said


def test_before_seeding_the_answer_is_unknown(client: Client) -> None:
    answer = client.get(CHECK, {"lat": LAT, "lon": LON})
    assert answer.status_code == 200
    assert answer.json()["result"] == "unknown"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({}, "lat"),
        ({"lat": "38.9"}, "lon"),
        ({"lat": "", "lon": "1"}, "lat"),
        ({"lat": "north", "lon": "1"}, "lat"),
        ({"lat": "nan", "lon": "1"}, "lat"),
        ({"lat": "inf", "lon": "1"}, "lat"),
        ({"lat": "91", "lon": "1"}, "lat=91"),
        ({"lat": "38.9", "lon": "-180.5"}, "lon=-180.5"),
        ({"lat": "-77.03", "lon": "38.89"}, "swapped"),
        ({"lat": "-118.25", "lon": "34.05"}, "Did you mean lat=34.05 and lon=-118.25"),
        ({"lat": "38.9", "lon": "-77", "program": "oz9"}, "program"),
        ({"lat": "38.9", "lon": "-77", "asOf": "soon"}, "asOf"),
    ],
)
def test_wrong_coordinates_get_a_422_that_says_what_is_wrong(
    client: Client, query: dict[str, str], says: str
) -> None:
    answer = client.get(CHECK, query)
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert says in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        '{"lat": "38.9", "lon": -77.0}',
        '{"lat": null, "lon": -77.0}',
        '{"lat": true, "lon": -77.0}',
        '{"address": "1 Main Street"}',
        "{}",
    ],
)
def test_a_body_whose_coordinates_are_no_numbers_is_refused(client: Client, body: str) -> None:
    answer = client.post(CHECK, body, content_type="application/json")
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"


def test_the_status_tells_the_version_its_age_and_its_gaps(client: Client, tmp_path: Path) -> None:
    empty = client.get(STATUS).json()
    assert (empty["connection"], empty["featureCount"], empty["versions"]) == ("connected", 0, [])
    seed_oz2(write_folder(tmp_path / "d", many_squares(5) | {"08999000100": None}))
    said = client.get(STATUS).json()
    assert said["featureCount"] == 6
    assert said["fresh"] is True
    assert said["complete"] is False
    assert said["dataset"].startswith("oz2-2020-")
    assert said["versions"][0]["missingByState"] == {"Colorado": 1}
    assert said["expiresAt"] > said["lastUpdate"]
    assert said["seeding"] == []
