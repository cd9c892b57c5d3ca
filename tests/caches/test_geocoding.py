"""The cache of geocoded addresses: what is kept, for how long, and who asks."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from caches.models import Geocode, GeocodeLease
from caches.queries.geocoding import geocoding_figures
from caches.services.geocoding import answering, keeping, leases, refreshing
from caches.services.geocoding.addresses import address_of
from caches.services.geocoding.answering import Geocoded, Origin, geocode
from caches.services.geocoding.many import geocode_many
from caches.services.geocoding.replies import (
    GeocodersUnavailable,
    Place,
    Quality,
    Reply,
    Verdict,
)
from databases.stores import redis
from tests.caches.geocoders import HEIGHTS, Sent, World, geocoding, lots
from tests.homes import databases_of, home_of
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("caches"))

POINT = (38.845985, -76.92744)
ADDRESS = address_of(HEIGHTS)


@pytest.fixture(autouse=True)
def no_figures() -> None:
    """Forget what other tests counted."""
    with redis.connection() as client:
        for name in client.scan_iter("polystore:geocoder:1:figures:*"):
            client.delete(name)


def kept() -> dict[str, Any]:
    """Return the one row."""
    return dict(Geocode.objects.values().get())


def aged(**fields: Any) -> None:
    """Change the one row."""
    Geocode.objects.all().update(**fields)


def in_threads(count: int, work: Callable[[], object]) -> list[Any]:
    """Do the same in several threads and return what came of it, errors too."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001 - looked at by the test
            results.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(results) == count
    return results


# What is kept -----------------------------------------------------------------------------------


def test_an_address_is_asked_for_once_and_is_not_kept_as_text() -> None:
    with geocoding("census") as world:
        world.places[HEIGHTS] = POINT
        first = geocode(ADDRESS)
        again = geocode(address_of("4600 SILVER HILL ROAD WASHINGTON DC 20233-1234"))
        assert len(world.asked) == 1
    assert (first.origin, again.origin) == (Origin.MISS, Origin.FRESH)
    assert first.reply.place == again.reply.place
    row = kept()
    assert (row["status"], row["provider"], row["quality"]) == ("match", "census", "interpolated")
    assert row["fresh_until"] - row["stored_at"] == dt.timedelta(days=90)
    assert row["stale_until"] - row["stored_at"] == dt.timedelta(days=180)
    assert "silver" not in str(row).lower()
    assert not GeocodeLease.objects.exists()


def test_a_definite_no_is_kept_for_a_day_and_longer_each_time_that_it_is_confirmed() -> None:
    spans = []
    with geocoding("census") as world:
        for _ in range(6):
            assert geocode(ADDRESS).reply.verdict is Verdict.NO_MATCH
            assert geocode(ADDRESS).origin is Origin.FRESH
            spans.append((kept()["fresh_until"] - kept()["stored_at"]).days)
            aged(stale_until=(now := timezone.now()), fresh_until=now)
        assert len(world.asked) == 6
        world.places[HEIGHTS] = POINT
        assert geocode(ADDRESS).reply.verdict is Verdict.MATCH
        assert kept()["times"] == 1
    assert spans == [1, 2, 4, 8, 8, 8]


@pytest.mark.parametrize(
    "sent",
    [
        Sent(status=500),
        Sent(status=429),
        Sent(body=b'{"results": [], "status": "OVER_QUERY_LIMIT"}'),
        Sent(body=b'{"result": {"addressMatches": ['),
        Sent(body=b'{"result": {"addressMatches": []}}', half=True),
        Sent(body=b"{}"),
    ],
)
@pytest.mark.parametrize("provider", ["census", "google", "nominatim"])
def test_failures_are_never_kept(provider: str, sent: Sent) -> None:
    with geocoding(provider) as world:
        world.faults[provider] = lambda *_: sent
        with pytest.raises(GeocodersUnavailable):
            geocode(ADDRESS)
        assert not Geocode.objects.exists()


def test_a_no_of_one_while_another_is_away_is_told_and_not_kept() -> None:
    with geocoding("census", "nominatim") as world:
        world.faults["nominatim"] = lambda *_: Sent(status=500)
        assert geocode(ADDRESS).reply.verdict is Verdict.NO_MATCH
        assert not Geocode.objects.exists()


def test_a_tie_is_told_and_not_kept() -> None:
    with geocoding("census") as world:
        world.places[HEIGHTS] = POINT
        world.ties.add(HEIGHTS)
        assert geocode(ADDRESS).reply.verdict is Verdict.AMBIGUOUS
        assert not Geocode.objects.exists()


def test_what_may_not_be_stored_is_not_and_what_may_for_a_while_goes_in_time() -> None:
    with geocoding("mapbox") as world:
        world.places[HEIGHTS] = POINT
        assert geocode(ADDRESS).reply.verdict is Verdict.MATCH
        assert not Geocode.objects.exists()
    with geocoding("mapbox"):
        assert geocode(ADDRESS).reply.verdict is Verdict.NO_MATCH
        assert not Geocode.objects.exists()
    with geocoding("google") as world:
        world.places[HEIGHTS] = POINT
        geocode(ADDRESS)
        row = kept()
        assert row["stale_until"] - row["stored_at"] == dt.timedelta(days=30)
        assert keeping.prune(at=timezone.now() + dt.timedelta(days=31)) == 1


# Stale ------------------------------------------------------------------------------------------


def test_what_is_stale_is_served_at_once_while_it_is_asked_for_again_once() -> None:
    with geocoding("census") as world:
        world.places[HEIGHTS] = POINT
        geocode(ADDRESS)
        aged(fresh_until=timezone.now())
        world.places[HEIGHTS] = (POINT[0] + 0.01, POINT[1])
        world.open.clear()
        served = in_threads(8, lambda: geocode(ADDRESS))
        assert {(one.origin, one.reply.place.lat) for one in served} == {(Origin.STALE, POINT[0])}
        eventually(lambda: world.waiting == 1)
        world.open.set()
        eventually(lambda: geocode(ADDRESS).origin is Origin.FRESH)
        assert geocode(ADDRESS).reply.place.lat == pytest.approx(POINT[0] + 0.01)
        assert len(world.asked) == 2


def test_a_refresh_that_fails_leaves_what_is_there_and_waits_before_the_next() -> None:
    with geocoding("census") as world:
        world.places[HEIGHTS] = POINT
        geocode(ADDRESS)
        aged(fresh_until=timezone.now())
        world.faults["census"] = lambda *_: Sent(status=500)
        assert geocode(ADDRESS).origin is Origin.STALE
        eventually(lambda: not refreshing.under_way())
        assert geocode(ADDRESS).origin is Origin.STALE
        assert len(world.asked) == 2
        refreshing.forget()
        world.faults.clear()
        geocode(ADDRESS)
        eventually(lambda: geocode(ADDRESS).origin is Origin.FRESH)


def test_what_is_too_old_is_not_served() -> None:
    with geocoding("census") as world:
        world.places[HEIGHTS] = POINT
        geocode(ADDRESS)
        aged(fresh_until=(now := timezone.now()), stale_until=now)
        assert geocode(ADDRESS).origin is Origin.MISS
        assert len(world.asked) == 2


# One question -----------------------------------------------------------------------------------


def open_for(world: World, callers: int) -> None:
    """Let the provider answer when so many wait for it."""
    eventually(lambda: answering._flights.callers() == callers)
    world.open.set()


def test_many_callers_of_one_process_make_one_question() -> None:
    with geocoding("census") as world:
        world.places[HEIGHTS] = POINT
        world.open.clear()
        opener = threading.Thread(target=open_for, args=(world, 20))
        opener.start()
        found = in_threads(20, lambda: geocode(ADDRESS))
        opener.join()
        assert len(world.asked) == 1
    assert {one.reply.place.lat for one in found} == {POINT[0]}


def test_callers_share_a_failure_and_those_who_come_later_ask_anew() -> None:
    with geocoding("census") as world:
        world.faults["census"] = lambda *_: Sent(status=500)
        world.open.clear()
        opener = threading.Thread(target=open_for, args=(world, 5))
        opener.start()
        found = in_threads(5, lambda: geocode(ADDRESS))
        opener.join()
        assert {type(one) for one in found} == {GeocodersUnavailable}
        first = len(world.asked)
        assert first == 1
        world.faults.clear()
        world.places[HEIGHTS] = POINT
        assert geocode(ADDRESS).reply.verdict is Verdict.MATCH
        assert len(world.asked) == first + 1


def elsewhere() -> Any:
    """Return the token of a lease that another process holds."""
    token, taken = leases.claim([ADDRESS.key])
    assert taken
    return token


def test_who_meets_the_lease_of_another_process_waits_for_what_it_stores() -> None:
    reply = Reply(
        verdict=Verdict.MATCH,
        provider="census",
        place=Place(lat=1.0, lon=2.0, quality=Quality.ROOFTOP),
    )
    with geocoding("census") as world:
        token = elsewhere()
        found: list[Geocoded] = []
        thread = threading.Thread(target=_into, args=(found,))
        thread.start()
        eventually(lambda: answering._flights.callers() == 1)
        assert keeping.store(ADDRESS.key, token, reply, at=timezone.now())
        thread.join(60)
        assert found[0].reply.place == reply.place
        assert world.asked == []


def _into(found: list[Geocoded]) -> None:
    try:
        found.append(geocode(ADDRESS))
    finally:
        connections.close_all()


@pytest.mark.parametrize("outcome", ["failed", "ambiguous", "no_match"])
def test_who_waited_is_told_what_became_of_it_where_nothing_was_stored(
    outcome: str, monkeypatch
) -> None:
    looked = threading.Event()

    def look(key: str, look: Callable[[str], Any] = leases.look) -> Any:
        seen = look(key)
        looked.set()
        return seen

    monkeypatch.setattr(leases, "look", look)
    with geocoding("census") as world:
        token = elsewhere()
        results: list[object] = []
        thread = threading.Thread(
            target=lambda: results.extend(in_threads(1, lambda: geocode(ADDRESS)))
        )
        thread.start()
        assert looked.wait(60)
        leases.end(ADDRESS.key, token, outcome=outcome)
        thread.join(60)
        assert world.asked == []
    (told,) = results
    if outcome == "failed":
        assert isinstance(told, GeocodersUnavailable)
    else:
        assert isinstance(told, Geocoded)
        assert told.reply.verdict.value == outcome
    assert not Geocode.objects.exists()


def test_a_lease_whose_owner_died_is_taken_over(monkeypatch) -> None:
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.3)
    with geocoding("census") as world:
        world.places[HEIGHTS] = POINT
        dead = elsewhere()
        assert geocode(ADDRESS).reply.verdict is Verdict.MATCH
        assert len(world.asked) == 1
    late = Reply(verdict=Verdict.NO_MATCH, provider="census")
    assert not keeping.store(ADDRESS.key, dead, late, at=timezone.now()), "fenced off"
    assert kept()["status"] == "match"


def test_an_owner_that_slept_through_its_lease_stores_nothing_and_asks_no_further() -> None:
    with geocoding("census", "nominatim") as world:
        world.faults["census"] = lambda *_: _stolen()
        world.places[HEIGHTS] = POINT
        found = geocode(ADDRESS)
        assert world.of("nominatim") == [], "the next question is not put without the lease"
        assert found.reply.place.lat == 5.0, "what the thief stored"


def _stolen() -> Sent:
    """Take the lease over, as another process would, and store; then fail."""
    try:
        GeocodeLease.objects.all().update(until=timezone.now() - dt.timedelta(minutes=1))
        token, taken = leases.claim([ADDRESS.key])
        assert taken
        place = Place(lat=5.0, lon=6.0, quality=Quality.ROOFTOP)
        reply = Reply(verdict=Verdict.MATCH, provider="census", place=place)
        assert keeping.store(ADDRESS.key, token, reply, at=timezone.now())
    finally:
        connections.close_all()
    return Sent(status=500)


def test_who_waits_in_vain_is_refused_in_time() -> None:
    with geocoding("census", seconds=1) as world:
        elsewhere()
        with pytest.raises(GeocodersUnavailable):
            geocode(ADDRESS)
        assert world.asked == []


def test_no_connection_is_held_while_a_provider_is_asked() -> None:
    """Threads of the test have no pool of their own to look at: none may be in a transaction."""
    with geocoding("census") as world:
        world.places[HEIGHTS] = POINT
        seen: list[int] = []

        def look(*_: str) -> None:
            with connections[home_of(Geocode)].cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
                    "WHERE c.relname LIKE 'caches_geocode%%' AND l.pid <> pg_backend_pid()"
                )
                seen.append(cursor.fetchone()[0])
            connections.close_all()

        world.faults["census"] = look
        geocode(ADDRESS)
    assert seen == [0]


def test_leases_of_long_ago_are_removed() -> None:
    elsewhere()
    assert leases.prune(at=timezone.now()) == 0
    assert leases.prune(at=timezone.now() + dt.timedelta(hours=1)) == 1


# Purging while somebody asks --------------------------------------------------------------------


def test_an_address_that_is_purged_while_it_is_asked_for_is_not_stored() -> None:
    with geocoding("census") as world:
        world.places[HEIGHTS] = POINT

        def purge(*_: str) -> None:
            try:
                keeping.forget(key=ADDRESS.key)
            finally:
                connections.close_all()

        world.faults["census"] = purge
        assert geocode(ADDRESS).reply.verdict is Verdict.MATCH
    assert not Geocode.objects.exists()


# Many -------------------------------------------------------------------------------------------


def test_many_new_addresses_go_in_one_file_and_the_rest_one_by_one() -> None:
    places = lots(6)
    names = list(places)
    with geocoding("census") as world:
        world.places = dict(places)
        del world.places[names[0]]
        world.ties.add(names[1])
        asked = [address_of(name) for name in names] + [address_of(names[2].upper())]
        first = geocode_many(asked)
        assert [len(rows) for rows in world.files] == [6]
        assert world.of("census") == [names[0]], "what the file did not find"
        again = geocode_many(asked)
        assert len(world.files) == 1
    assert [one.reply.verdict.value for one in first] == [
        "no_match", "ambiguous", *["match"] * 5,
    ]  # fmt: skip
    assert [one.origin for one in again].count(Origin.FRESH) == 6
    assert Geocode.objects.count() == 5, "the tie is not kept"
    assert GeocodeLease.objects.filter(until__gt=timezone.now()).count() == 0


def test_a_file_that_fails_costs_nothing_but_time() -> None:
    places = lots(4)
    with geocoding("census") as world:
        world.places = dict(places)
        world.faults["file"] = lambda *_: Sent(body=b'"1","x","Match"')
        found = geocode_many([address_of(name) for name in places])
        assert [one.reply.verdict for one in found] == [Verdict.MATCH] * 4
        assert len(world.of("census")) == 4


def test_those_that_nobody_could_tell_are_left_open() -> None:
    with geocoding("nominatim") as world:
        world.faults["nominatim"] = lambda *_: Sent(status=500)
        found = geocode_many([address_of(name) for name in lots(5)])
        assert found == [None] * 5
        assert len(world.asked) == 3, "then it rests"
    assert not Geocode.objects.exists()


# Figures ----------------------------------------------------------------------------------------


def test_answers_and_questions_are_counted_for_operators() -> None:
    with geocoding("census", "nominatim") as world:
        world.places[HEIGHTS] = POINT
        geocode(ADDRESS)
        geocode(ADDRESS)
        geocode(ADDRESS)
        geocode(address_of("1 Nowhere Street, Denver, CO"))
        geocode(address_of("1 Nowhere Street, Denver, CO"))
        aged(fresh_until=timezone.now() - dt.timedelta(seconds=1))
        geocode(ADDRESS)
        eventually(lambda: not refreshing.under_way())
        world.faults["census"] = lambda *_: Sent(status=429)
        geocode(address_of("2 Nowhere Street, Denver, CO"))
        found = geocoding_figures()
    assert (found.fresh, found.stale, found.negative, found.miss) == (2, 1, 1, 3)
    assert found.hit_rate == pytest.approx(4 / 7, abs=0.001)
    census, nominatim = found.providers
    assert (census.name, census.calls, census.errors) == ("census", 4, 1)
    assert (nominatim.calls, nominatim.errors) == (2, 0)
    assert census.mean_ms is not None
    assert census.resting_seconds > 0


def test_without_redis_figures_say_that_nobody_counts(settings) -> None:
    settings.REDIS_URL = ""
    found = geocoding_figures()
    assert found.counted is False
    assert found.hit_rate is None
