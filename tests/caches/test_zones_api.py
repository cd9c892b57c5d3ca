"""Opportunity zones over HTTP."""

from __future__ import annotations

import datetime as dt
import gzip
import uuid
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from caches.services import jobs
from caches.services.sample import PLACES
from caches.services.seeding import seed
from caches.services.sources import SAMPLE
from tests.caches.drawing import many_squares, seed_oz2, write_folder
from tests.caches.memory import in_memory
from tests.homes import databases_of
from tests.people import a_superuser, a_user, signed_in

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("caches", "accounts"))

CHECK = "/api/opportunity-zones/check"
ZONES = "/api/opportunity-zones/zones"
BATCH = f"{CHECK}/batch"
REFRESH = "/api/opportunity-zones/refresh"
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
        ({"lat": "38.9", "lon": "-77", "asOf": "0"}, "asOf"),
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
        '{"address": "1 Main Street, Denver, CO", "lat": 38.9, "lon": -77.0}',
        '{"address": 5}',
        '{"lat": 38.9}',
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
    assert said["versions"][0]["coverage"] == {"Colorado": {"designated": 6, "polygons": 5}}


# Caching and compression ------------------------------------------------------------------------


def test_points_may_be_kept_by_a_cdn_and_are_not_sent_twice(sample: None, client: Client) -> None:
    with in_memory():
        first = client.get(CHECK, {"lat": LAT, "lon": LON})
        assert first["Cache-Control"].startswith("public, max-age=300")
        assert first["X-Zones-Generation"] == "1"
        assert "Cookie" not in first.get("Vary", "")
        again = client.get(
            CHECK, {"lat": LAT, "lon": LON}, headers={"If-None-Match": first["ETag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
        other = client.get(CHECK, {"lat": LAT, "lon": "-87.7"})
        assert other["ETag"] != first["ETag"]
    posted = client.post(CHECK, {"lat": lat, "lon": lon}, content_type="application/json")
    assert "no-store" in posted["Cache-Control"]
    empty = client.get(CHECK, {"lat": LAT, "lon": LON, "program": "oz2", "asOf": "2027-01-01"})
    assert empty["Cache-Control"] == "no-store", "nothing is loaded: that may change at any moment"


def test_large_answers_are_packed_for_those_who_take_it(tmp_path: Path, client: Client) -> None:
    seed_oz2(write_folder(tmp_path / "d", many_squares(20)))
    query = {"bbox": "-105,38,-100,40", "asOf": "2027-06-01"}
    for held in (nullcontext(), in_memory()):
        with held:
            plain = client.get(ZONES, query)
            packed = client.get(ZONES, query, headers={"Accept-Encoding": "br, gzip"})
            assert packed["Content-Encoding"] == "gzip"
            assert gzip.decompress(packed.content) == plain.content
            assert packed["Vary"] == "Accept-Encoding"
            if "ETag" in packed:
                known = {"Accept-Encoding": "gzip", "If-None-Match": packed["ETag"]}
                assert packed["ETag"] != plain["ETag"]
                assert client.get(ZONES, query, headers=known).status_code == 304


# Zones for maps ---------------------------------------------------------------------------------


def test_zones_in_a_box_come_as_geojson_page_by_page(tmp_path: Path, client: Client) -> None:
    seed_oz2(write_folder(tmp_path / "d", many_squares(5)))
    query = {"bbox": "-104.5,38.5,-103,39.5", "zoom": "9", "asOf": "2027-06-01", "limit": "2"}
    seen: list[str] = []
    cursor = None
    while True:
        answer = client.get(ZONES, query | ({"cursor": cursor} if cursor else {}))
        assert answer["Content-Type"] == "application/geo+json"
        page = answer.json()
        seen += [feature["properties"]["tract"] for feature in page["features"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == sorted(many_squares(5))
    assert page["features"][0]["geometry"]["type"] == "Polygon"


def test_one_zone_comes_with_its_whole_border_and_another_is_not_found(
    tmp_path: Path, client: Client
) -> None:
    seed_oz2(write_folder(tmp_path / "d", many_squares(1) | {"08999000100": None}))
    day = {"asOf": "2027-06-01"}
    found = client.get(f"{ZONES}/08000000000", day).json()
    assert found["geometry"]["coordinates"][0][0] == [-104.02, 38.98]
    assert client.get(f"{ZONES}/08999000100", day).json()["geometry"] is None
    missing = client.get(f"{ZONES}/08000000009", day)
    assert (missing.status_code, missing.json()["code"]) == (404, "http.not_found")


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "0,50,10,40", "nan,0,1,1", "0,0,1,91"])
def test_a_box_that_is_none_is_refused(client: Client, box: str) -> None:
    answer = client.get(ZONES, {"bbox": box})
    assert (answer.status_code, answer.json()["code"]) == (422, "caches.box_refused")


# Batches ----------------------------------------------------------------------------------------


def _batch(client: Client, points: list[tuple[float, float]], **more: str) -> Any:
    body = {"points": [{"lat": a, "lon": b} for a, b in points]} | more
    return client.post(BATCH, body, content_type="application/json")


def test_a_batch_is_answered_in_order_from_memory_and_from_the_database(
    sample: None, client: Client
) -> None:
    points = [(lat, lon), (45.0, -100.0), (lat + 0.05, lon)]
    one = _batch(client, points, asOf="2026-06-01").json()
    with in_memory():
        other = _batch(client, points, asOf="2026-06-01").json()
    assert one == other
    assert [item["result"] for item in one["items"]] == ["yes", "unknown", "no"]
    assert one["items"][1]["lat"] == 45.0


def test_a_wrong_point_in_a_batch_is_named(client: Client) -> None:
    answer = _batch(client, [(lat, lon), (-87.63, 41.88)])
    assert answer.status_code == 422
    assert "points[1]" in answer.json()["detail"]
    assert answer.json()["index"] == 1


def test_a_large_batch_is_a_job_of_its_owner_with_progress(sample: None, client: Client) -> None:
    points = [(lat, lon)] * 2500
    assert _batch(client, points).status_code == 401
    mine = signed_in(a_user())
    asked = _batch(mine, points, asOf="2026-06-01")
    assert (asked.status_code, asked.json()["total"]) == (202, 2500)
    address = asked["Location"]
    assert mine.get(address).json()["done"] == 0
    assert mine.get(f"{address}/items").json() == {"items": [], "next": None, "previous": None}
    jobs.carry_out(uuid.UUID(asked.json()["id"]))
    told = mine.get(address).json()
    assert (told["state"], told["done"]) == ("done", 2500)
    first = mine.get(f"{address}/items").json()
    last = mine.get(f"{address}/items", {"cursor": first["next"]}).json()
    last = mine.get(f"{address}/items", {"cursor": last["next"]}).json()
    assert (len(first["items"]), len(last["items"]), last["next"]) == (1000, 500, None)
    assert {item["result"] for item in last["items"]} == {"yes"}
    other = signed_in(a_user("other@example.com"))
    assert other.get(address).status_code == 404
    assert client.get(address).status_code == 401
    assert jobs.prune(at=timezone.now() + dt.timedelta(days=2)) == 4


# Refresh ----------------------------------------------------------------------------------------


def test_staff_start_a_refresh_and_a_second_one_waits(client: Client) -> None:
    assert client.post(REFRESH, {}, content_type="application/json").status_code == 401
    member = signed_in(a_user())
    assert member.post(REFRESH, {}, content_type="application/json").status_code == 403
    root = signed_in(a_superuser())
    first = root.post(REFRESH, {}, content_type="application/json")
    assert (first.status_code, first.json()["state"]) == (202, "queued")
    second = root.post(REFRESH, {}, content_type="application/json")
    assert (second.status_code, second.json()["code"]) == (409, "caches.seeding_runs")
    assert second.json()["runningId"] == first.json()["id"]
    (told,) = client.get(STATUS).json()["seeding"]
    assert (told["id"], told["origin"], told["state"]) == (first.json()["id"], "api", "queued")
