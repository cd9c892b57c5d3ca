"""Addresses over HTTP, for operators and by command: for whom, how many, and what is shown."""

from __future__ import annotations

import datetime as dt
import io
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.leaving.registry import Leaver
from caches.models import Geocode, LookupChunk, LookupJob
from caches.services import jobs
from caches.services.geocoding.addresses import address_of
from caches.services.leaving import HOLDER
from caches.services.sample import PLACES
from caches.services.seeding import seed
from caches.services.sources import SAMPLE
from tests.caches.geocoders import HEIGHTS, Sent, World, geocoding
from tests.homes import databases_of
from tests.people import a_user, signed_in

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("caches", "accounts"))

GEOCODE = "/api/geocode"
CHECK = "/api/opportunity-zones/check"
BATCH = f"{CHECK}/batch"
STATUS = "/api/opportunity-zones/status"
_, _, LAT, LON = PLACES[2]
"""The middle of one of the sample's zones."""
ELSEWHERE = "1 Nowhere Street, Denver, CO 80202"


@pytest.fixture
def world() -> Iterator[World]:
    """Serve a geocoder that knows one address, in a zone of the sample."""
    seed(location=str(SAMPLE), at=timezone.now())
    with geocoding("census") as made:
        made.places[HEIGHTS] = (LAT, LON)
        yield made


@pytest.fixture
def mine() -> Client:
    return signed_in(a_user(f"{uuid.uuid4()}@example.com"))


def post(client: Client, path: str, **body: Any) -> Any:
    """Post JSON."""
    return client.post(path, body, content_type="application/json")


def test_a_user_gets_the_point_of_an_address_with_its_source(world: World, mine: Client) -> None:
    answer = post(mine, GEOCODE, address=HEIGHTS)
    assert answer.status_code == 200
    said = answer.json()
    assert (said["result"], said["lat"], said["lon"]) == ("match", LAT, LON)
    assert (said["provider"], said["quality"], said["cache"]) == ("census", "interpolated", "miss")
    assert said["attribution"] == "U.S. Census Bureau Geocoder"
    assert answer["Cache-Control"] == "private, no-store"
    assert "Silver" not in answer.content.decode()
    assert post(mine, GEOCODE, address=HEIGHTS.upper()).json()["cache"] == "fresh"
    nobody = post(mine, GEOCODE, address=ELSEWHERE).json()
    assert (nobody["result"], nobody["lat"]) == ("noMatch", None)
    assert len(world.asked) == 2


@pytest.mark.parametrize("path", [GEOCODE, CHECK])
def test_strangers_get_no_address_looked_up(world: World, client: Client, path: str) -> None:
    answer = post(client, path, address=HEIGHTS)
    assert (answer.status_code, answer.json()["code"]) == (401, "access.sign_in_needed")
    assert post(client, BATCH, points=[{"address": HEIGHTS}]).status_code == 401
    assert world.asked == []


@pytest.mark.parametrize("address", ["", "x", "12345", "a" * 300, "b" * 2000])
def test_what_is_no_address_is_refused(world: World, mine: Client, address: str) -> None:
    answer = post(mine, GEOCODE, address=address)
    assert answer.status_code == 422
    assert world.asked == []
    assert len(address) < 3 or address not in answer.content.decode()


def test_a_user_may_ask_so_often_and_no_oftener(world: World, mine: Client, settings) -> None:
    settings.GEOCODER_PER_MINUTE = 2
    codes = [post(mine, GEOCODE, address=HEIGHTS).status_code for _ in range(5)]
    # A minute may begin between two of them.
    assert codes.count(429) >= 1
    refused = post(mine, CHECK, address=HEIGHTS)
    while refused.status_code == 200:
        refused = post(mine, CHECK, address=HEIGHTS)
    assert refused.json()["code"] == "caches.too_many_addresses"
    assert 0 < int(refused["Retry-After"]) <= 61
    other = signed_in(a_user(f"{uuid.uuid4()}@example.com"))
    assert post(other, GEOCODE, address=HEIGHTS).status_code == 200


def test_batches_count_against_the_day_and_are_refused_whole(
    world: World, mine: Client, settings
) -> None:
    settings.GEOCODER_PER_DAY = 3
    four = [{"address": f"{number} Main St, Denver, CO"} for number in range(1, 5)]
    assert post(mine, BATCH, points=four).status_code == 429
    assert world.files == []
    assert post(mine, BATCH, points=four[:2]).status_code == 200, "the refused ones do not count"
    assert post(mine, BATCH, points=four[:2]).status_code == 429


def test_providers_that_do_not_answer_are_a_503_with_a_time(world: World, mine: Client) -> None:
    world.faults["census"] = lambda *_: Sent(status=429, headers=(("Retry-After", "20"),))
    for path in (GEOCODE, CHECK, GEOCODE):
        answer = post(mine, path, address=HEIGHTS)
        assert (answer.status_code, answer.json()["code"]) == (503, "caches.geocoders_unavailable")
        assert int(answer["Retry-After"]) > 0
        assert "Silver" not in answer.content.decode()


def test_an_address_is_checked_like_its_point(world: World, mine: Client) -> None:
    day = {"asOf": "2026-06-01"}
    found = post(mine, CHECK, address=HEIGHTS, **day)
    point = post(mine, CHECK, lat=LAT, lon=LON, **day).json()
    said = found.json()
    geocode = said.pop("geocode")
    assert said == point
    assert said["result"] == "yes"
    assert geocode["result"] == "match"
    assert found["Cache-Control"] == "private, no-store"
    unknown = post(mine, CHECK, address=ELSEWHERE, **day).json()
    assert (unknown["result"], unknown["geocode"]["result"]) == ("unknown", "noMatch")


def test_an_area_is_too_wide_to_tell_its_zone(mine: Client) -> None:
    seed(location=str(SAMPLE), at=timezone.now())
    town = json.dumps(
        [
            {
                "lat": str(LAT),
                "lon": str(LON),
                "class": "boundary",
                "place_rank": 16,
                "display_name": "Chicago",
            }
        ]
    ).encode()
    with geocoding("nominatim") as world:
        world.faults["nominatim"] = lambda *_: Sent(body=town)
        said = post(mine, CHECK, address="Chicago, IL").json()
    assert (said["result"], said["geocode"]["quality"]) == ("unknown", "area")


def test_a_batch_takes_points_and_addresses_mixed(world: World, mine: Client) -> None:
    asked = [
        {"lat": LAT, "lon": LON},
        {"address": HEIGHTS},
        {"address": ELSEWHERE},
        {"lat": 45.0, "lon": -100.0},
    ]
    answer = post(mine, BATCH, points=asked, asOf="2026-06-01")
    items = answer.json()["items"]
    assert [item["result"] for item in items] == ["yes", "yes", "unknown", "unknown"]
    assert [item.get("geocode", {}).get("result") for item in items] == [
        None, "match", "noMatch", None,
    ]  # fmt: skip
    assert (items[1]["lat"], items[2]["lat"]) == (LAT, None)
    assert answer["Cache-Control"] == "private, no-store"
    wrong = post(mine, BATCH, points=[{"address": HEIGHTS}, {"address": "x"}])
    assert (wrong.status_code, wrong.json()["index"]) == (422, 1)


def test_many_addresses_are_a_job_that_forgets_them_when_they_are_answered(
    world: World, mine: Client
) -> None:
    asked = [{"address": f"{number} Main St, Denver, CO 80202"} for number in range(1, 102)]
    asked[0] = {"address": HEIGHTS}
    answer = post(mine, BATCH, points=asked, asOf="2026-06-01")
    assert answer.status_code == 202
    assert jobs.carry_out(uuid.UUID(answer.json()["id"]))
    items = mine.get(f"{answer['Location']}/items").json()["items"]
    assert [item["geocode"]["result"] for item in items] == ["match", *["noMatch"] * 100]
    assert items[0]["result"] == "yes"
    assert list(LookupChunk.objects.values_list("points", flat=True)) == [[]]
    assert jobs.carry_out(uuid.UUID(answer.json()["id"])), "told twice, it changes nothing"
    assert mine.get(f"{answer['Location']}/items").json()["items"] == items


def test_who_leaves_takes_their_batches_along(world: World) -> None:
    user = a_user(f"{uuid.uuid4()}@example.com")
    asked = [{"address": f"{number} Main St, Denver, CO 80202"} for number in range(1, 102)]
    assert post(signed_in(user), BATCH, points=asked).status_code == 202
    other = signed_in(a_user(f"{uuid.uuid4()}@example.com"))
    kept = post(other, BATCH, points=asked).json()["id"]
    assert [len(row["points"]) for row in HOLDER.sections["zoneBatchAnswers"](user.pk)] == [101]
    assert len(list(HOLDER.sections["zoneBatches"](user.pk))) == 1
    assert HOLDER.forget is not None
    HOLDER.forget(Leaver(user_id=user.pk, addresses=()))
    assert [str(job.pk) for job in LookupJob.objects.all()] == [kept]
    assert LookupChunk.objects.count() == 1


# Operators --------------------------------------------------------------------------------------


def test_figures_stand_in_status_metrics_and_admin(
    world: World, mine: Client, admin_client: Client
) -> None:
    post(mine, GEOCODE, address=HEIGHTS)
    post(mine, GEOCODE, address=HEIGHTS)
    said = mine.get(STATUS).json()["geocoding"]
    assert said["counted"] is True
    assert said["fresh"] >= 1
    assert said["providers"][0]["name"] == "census"
    assert said["providers"][0]["calls"] >= 1
    metrics = admin_client.get("/metrics").content.decode()
    assert 'polystore_geocode_answers_total{outcome="fresh"}' in metrics
    assert 'polystore_geocoder_calls_total{outcome="match",provider="census"}' in metrics
    assert "polystore_geocoder_seconds_bucket" in metrics
    page = admin_client.get(reverse("admin:caches_geocode_changelist"))
    row = Geocode.objects.get()
    text = page.content.decode()
    assert "Hit rate" in text
    assert f"…{row.key[-8:]}" in text
    assert str(row.latitude) not in text
    change = admin_client.get(reverse("admin:caches_geocode_change", args=[row.pk]))
    assert str(row.latitude) not in change.content.decode()
    assert "Silver" not in metrics + text


def purge(monkeypatch, *arguments: str, typed: str = "") -> str:
    """Run the command and return what it says."""
    out = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    call_command("purge_geocodes", *arguments, stdout=out)
    return out.getvalue()


def test_an_address_is_purged_and_nothing_of_it_is_shown(
    world: World, mine: Client, monkeypatch, caplog
) -> None:
    post(mine, GEOCODE, address=HEIGHTS)
    post(mine, GEOCODE, address=ELSEWHERE)
    said = purge(monkeypatch, "--address", "--json", typed=f"{HEIGHTS.upper()}\n\n")
    assert json.loads(said) == {"purged": 1}
    assert Geocode.objects.get().key == address_of(ELSEWHERE).key
    again = purge(monkeypatch, "--address", typed=HEIGHTS)
    assert again == "0 geocoded addresses were forgotten.\n"
    for refused in ("", "ab\n", f"{HEIGHTS}\n12345\n"):
        with pytest.raises(CommandError) as error:
            purge(monkeypatch, "--address", typed=refused)
        assert error.value.returncode == 2
        assert "12345" not in str(error.value)
    assert "Silver" not in caplog.text + said
    assert post(mine, GEOCODE, address=HEIGHTS).json()["cache"] == "miss"


def test_old_ones_and_all_of_them_are_purged(world: World, mine: Client, monkeypatch) -> None:
    post(mine, GEOCODE, address=HEIGHTS)
    post(mine, GEOCODE, address=ELSEWHERE)
    old = timezone.now() - dt.timedelta(days=10)
    Geocode.objects.filter(key=address_of(HEIGHTS).key).update(stored_at=old)
    assert purge(monkeypatch, "--older-than=11").startswith("0 ")
    assert purge(monkeypatch, "--older-than=9").startswith("1 ")
    assert purge(monkeypatch, "--all").startswith("1 ")
    for bad in (["--older-than=-1"], [], ["--all", "--address"]):
        with pytest.raises(CommandError):
            purge(monkeypatch, *bad)
