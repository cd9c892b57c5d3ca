"""With the server of `cache` gone, providers are asked directly, and nothing is kept; with Redis
gone, within a share of their limits.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import close_old_connections, connections
from django.test import Client

from caches.models import Geocode
from caches.services import holding
from caches.services.geocoding import answering
from caches.services.geocoding.addresses import address_of
from caches.services.geocoding.answering import Origin, geocode
from caches.services.sources import SAMPLE
from tests.caches.geocoders import HEIGHTS, Sent, geocoding, lots
from tests.homes import databases_of
from tests.people import a_user, signed_in
from tests.waiting import eventually

pytestmark = [
    pytest.mark.outage,
    pytest.mark.skipif(
        "cache" not in connections.settings, reason="In this shape all are one database."
    ),
    pytest.mark.django_db(transaction=True, databases=databases_of("caches", "accounts")),
]
POINT = (38.845985, -76.92744)
SERVER = "others"


@pytest.fixture(params=["stop", "kill", "pause"])
def cache_down(request, servers):
    """Take the server of `cache` away in each way; it is back after the test."""
    getattr(servers, request.param)(SERVER)
    close_old_connections()
    yield
    if request.param == "pause":
        servers.resume(SERVER)
    else:
        servers.start(SERVER)
    eventually(_is_back)


def _is_back() -> bool:
    close_old_connections()
    try:
        Geocode.objects.count()
    except Exception:  # noqa: BLE001 - not yet
        return False
    return True


def ask(client: Client, **body: Any) -> Any:
    """Ask for an address."""
    return client.post("/api/geocode", body, content_type="application/json")


def test_providers_are_asked_directly_and_the_answer_says_so(mine, world, cache_down) -> None:
    answers = [ask(mine, address=HEIGHTS) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert {answer.json()["cache"] for answer in answers} == {"unavailable"}
    assert {answer["X-Degraded"] for answer in answers} == {"cache"}
    assert {answer.json()["lat"] for answer in answers} == {POINT[0]}
    assert len(world.asked) == 3


def test_callers_at_once_still_make_one_question(world, cache_down) -> None:
    world.open.clear()
    found: list[Any] = []

    def call() -> None:
        try:
            found.append(geocode(address_of(HEIGHTS)))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=call) for _ in range(10)]
    for thread in threads:
        thread.start()
    eventually(lambda: answering._flights.callers() == 10)
    world.open.set()
    for thread in threads:
        thread.join(120)

    assert {one.origin for one in found} == {Origin.UNAVAILABLE}
    assert len(found) == 10
    assert len(world.asked) == 1


def test_a_batch_is_answered_without_a_file(mine, world, cache_down, settings) -> None:
    settings.OPPORTUNITY_ZONES_SOURCE = str(SAMPLE)
    world.places = dict(lots(3))
    points = [{"address": address} for address in world.places]
    answer = mine.post(
        "/api/opportunity-zones/check/batch", {"points": points}, content_type="application/json"
    )
    holding.forget()
    assert answer.status_code == 200
    assert [item["geocode"]["result"] for item in answer.json()["items"]] == ["match"] * 3
    assert answer["X-Degraded"] == "cache"
    assert len(world.of("census")) == 3
    assert world.files == []


def test_a_cache_that_goes_while_a_provider_is_asked_costs_the_caller_nothing(
    mine, world, servers
) -> None:
    def stop(*_: str) -> Sent | None:
        servers.stop(SERVER)
        return None

    world.faults["census"] = stop
    answer = ask(mine, address=HEIGHTS)
    servers.start(SERVER)
    eventually(_is_back)

    assert (answer.status_code, answer.json()["lat"]) == (200, POINT[0])
    assert answer["X-Degraded"] == "cache"
    assert not Geocode.objects.exists()


def test_without_redis_addresses_are_answered_and_kept(mine, world, servers) -> None:
    servers.stop("redis")
    try:
        first = ask(mine, address=HEIGHTS)
        again = ask(mine, address=HEIGHTS)
    finally:
        servers.start("redis")
    assert (first.json()["cache"], again.json()["cache"]) == ("miss", "fresh")
    assert len(world.asked) == 1


@pytest.fixture
def mine() -> Client:
    client = signed_in(a_user())
    assert client.get("/api/users/me").status_code == 200
    return client


@pytest.fixture
def world():
    with geocoding("census") as made:
        made.places[HEIGHTS] = POINT
        yield made
