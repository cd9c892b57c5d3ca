"""The providers, each in its own format, with its failures, and the order of asking them."""

from __future__ import annotations

import logging
import time

import pytest
from django.test import override_settings

from caches.services.geocoding import asking, failing
from caches.services.geocoding.addresses import address_of, parts_of
from caches.services.geocoding.census import Census
from caches.services.geocoding.exchange import within
from caches.services.geocoding.providers import providers
from caches.services.geocoding.replies import (
    Failure,
    GeocodersUnavailable,
    ProviderFailed,
    Quality,
    Reply,
    Verdict,
)
from caches.services.geocoding.terms import TERMS
from caches.stores import geocoders as store
from common.logging import StructuredFormatter
from tests.caches.geocoders import ALL, HEIGHTS, Sent, begin_anew, geocoding, lots

POINT = (38.845985, -76.92744)
SLOW = 100


def ask(provider: str, text: str = HEIGHTS, seconds: float = 10) -> Reply:
    """Ask one provider."""
    (found,) = [one for one in providers() if one.name == provider]
    return within(seconds, lambda: found.geocode(address_of(text), seconds=seconds), beat=_nothing)


def in_turn(text: str = HEIGHTS, seconds: float = 10) -> Reply:
    """Ask all of the settings."""
    return asking.ask(address_of(text), deadline=time.monotonic() + seconds, hold=_nothing)


def _nothing() -> None:
    """Hold no lease."""


@pytest.mark.parametrize("provider", ALL)
def test_each_format_is_read(provider: str) -> None:
    with geocoding(provider) as world:
        world.places[HEIGHTS] = POINT
        found = ask(provider)
        nobody = ask(provider, "1 Nowhere Street, Denver, CO")
    assert found.place is not None
    assert (found.verdict, found.place.lat, found.place.lon) == (Verdict.MATCH, *POINT)
    assert found.provider == provider
    assert found.place.quality in {Quality.ROOFTOP, Quality.INTERPOLATED}
    assert (nobody.verdict, nobody.place) == (Verdict.NO_MATCH, None)
    assert world.agents == {"Polystore geocoding"}


@pytest.mark.parametrize("provider", ALL)
@pytest.mark.parametrize(
    ("sent", "failure"),
    [
        (Sent(status=500), Failure.UNREACHABLE),
        (Sent(status=503), Failure.UNREACHABLE),
        (Sent(status=504), Failure.TIMEOUT),
        (Sent(status=429, headers=(("Retry-After", "7"),)), Failure.QUOTA),
        (Sent(status=402), Failure.QUOTA),
        (Sent(status=403), Failure.REFUSED),
        (Sent(status=400), Failure.QUESTION),
        (Sent(status=302, headers=(("Location", "http://127.0.0.1/"),)), Failure.QUESTION),
        (Sent(body=b'{"result": {"addr', half=True), Failure.UNREACHABLE),
        (Sent(body=b'{"result": {"addressMatches": [{'), Failure.PARTIAL),
        (Sent(body=b"<html>Sorry</html>"), Failure.PARTIAL),
        (Sent(body=b"{}"), Failure.PARTIAL),
        (Sent(body=b"null"), Failure.PARTIAL),
        (Sent(body=b"[{}]"), Failure.PARTIAL),
        (Sent(body=b'{"results": [], "features": null, "result": {}}'), Failure.PARTIAL),
        (Sent(body=b"[" * 100_000), Failure.PARTIAL),
        (Sent(body=b" " * 3_000_000), Failure.REFUSED),
    ],
)
def test_half_answers_and_faults_are_neither_a_match_nor_a_no(
    provider: str, sent: Sent, failure: Failure
) -> None:
    with geocoding(provider) as world:
        world.faults[provider] = lambda *_: sent
        with pytest.raises(ProviderFailed) as failed:
            ask(provider)
    assert failed.value.failure is failure
    assert failed.value.__cause__ is None


@pytest.mark.parametrize(
    ("provider", "body", "failure"),
    [
        ("google", b'{"results": [], "status": "OVER_QUERY_LIMIT"}', Failure.QUOTA),
        ("google", b'{"results": [], "status": "OVER_DAILY_LIMIT"}', Failure.QUOTA),
        ("google", b'{"results": [], "status": "REQUEST_DENIED"}', Failure.QUESTION),
        ("google", b'{"results": [], "status": "UNKNOWN_ERROR"}', Failure.UNREACHABLE),
        ("google", b'{"results": [], "status": "OK"}', Failure.PARTIAL),
        (
            "opencage",
            b'{"results": [], "status": {"code": 402, "message": "quota"}, "total_results": 0}',
            Failure.QUOTA,
        ),
        ("nominatim", b'[{"lat": null, "lon": null}]', Failure.PARTIAL),
        ("nominatim", b'[{"lat": "97.5", "lon": "1"}]', Failure.PARTIAL),
        ("nominatim", b'{"error": "Bandwidth limit exceeded"}', Failure.PARTIAL),
        ("census", b'{"result": {"addressMatches": [{"coordinates": {"x": 1}}]}}', Failure.PARTIAL),
        ("census", b'{"errors": ["Benchmark is unknown"], "status": "400"}', Failure.PARTIAL),
        ("mapbox", b'{"features": [{"place_name": "x", "geometry": {}}]}', Failure.PARTIAL),
    ],
)
def test_refusals_that_come_with_status_200_are_told(
    provider: str, body: bytes, failure: Failure
) -> None:
    with geocoding(provider) as world:
        world.faults[provider] = lambda *_: Sent(body=body)
        with pytest.raises(ProviderFailed) as failed:
            ask(provider)
    assert failed.value.failure is failure


def test_what_drips_and_what_is_silent_ends_in_time() -> None:
    with geocoding("census") as world:
        world.faults["census"] = lambda *_: Sent(drip=True)
        with pytest.raises(ProviderFailed) as failed:
            ask("census", seconds=0.5)
        assert failed.value.failure in {Failure.TIMEOUT, Failure.UNREACHABLE}
        world.open.clear()
        with pytest.raises(ProviderFailed) as silent:
            ask("census", seconds=0.3)
        assert silent.value.failure in {Failure.TIMEOUT, Failure.UNREACHABLE}


def test_several_places_are_a_tie_unless_they_are_one() -> None:
    with geocoding("census") as world:
        world.places[HEIGHTS] = POINT
        world.ties.add(HEIGHTS)
        assert ask("census").verdict is Verdict.AMBIGUOUS


def test_a_file_brings_matches_and_ties_and_leaves_the_rest_for_single_questions() -> None:
    places = lots(5)
    names = list(places)
    with geocoding("census") as world:
        world.places = dict(places)
        del world.places[names[3]]
        world.ties.add(names[4])
        columns = {name: parts for name in names if (parts := parts_of(name)) is not None}
        found = Census(world.url).geocode_many(columns, seconds=10)
    assert [found[name].verdict for name in names[:3]] == [Verdict.MATCH] * 3
    assert found[names[0]].place.lat == pytest.approx(places[names[0]][0])
    assert found[names[3]] is None, "the file finds less than the single question does"
    assert found[names[4]].verdict is Verdict.AMBIGUOUS
    assert world.files[0][0] == ["1", "1 Main St", "Denver", "CO", "80202"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'"1","x","Match","Exact","X","-104.9,39.7"\n',
        b'"1","x","Match","Exact","X"\n"2","x","No_Match"\n',
        b'"1","x","Match","Exact","X","-104.9,"\n"2","x","No_Match"\n',
        b'"1","x","Perhaps"\n"2","x","No_Match"\n',
        b"<p>The service is overloaded</p>",
    ],
)
def test_a_file_that_is_not_whole_is_no_answer(body: bytes) -> None:
    with geocoding("census") as world:
        world.faults["file"] = lambda *_: Sent(body=body)
        columns = {name: parts for name in lots(2) if (parts := parts_of(name)) is not None}
        with pytest.raises(ProviderFailed) as failed:
            Census(world.url).geocode_many(columns, seconds=10)
    assert failed.value.failure is Failure.PARTIAL


def test_private_networks_and_plain_http_are_not_asked_unless_told() -> None:
    with geocoding("census", "nominatim") as world:
        with override_settings(GEOCODER_ALLOW_PRIVATE=False):
            for provider in ("census", "nominatim"):
                with pytest.raises(ProviderFailed) as failed:
                    ask(provider)
                assert failed.value.failure is Failure.REFUSED
        assert world.asked == []


def test_a_town_is_no_address() -> None:
    town = (
        b'[{"lat": "39.7", "lon": "-104.9", "class": "boundary", "type": "administrative",'
        b' "place_rank": 16, "display_name": "Denver"}]'
    )
    with geocoding("nominatim") as world:
        world.faults["nominatim"] = lambda *_: Sent(body=town)
        found = ask("nominatim")
    assert found.place is not None
    assert found.place.quality is Quality.AREA


# In turn ----------------------------------------------------------------------------------------


def test_the_first_that_knows_is_the_only_one_asked() -> None:
    with geocoding("nominatim", "census") as world:
        world.places[HEIGHTS] = POINT
        assert in_turn().provider == "nominatim"
        assert [name for name, _ in world.asked] == ["nominatim"]


def test_a_no_is_definite_when_everybody_says_so() -> None:
    with geocoding("census", "nominatim") as world:
        found = in_turn()
        assert (found.verdict, found.definite) == (Verdict.NO_MATCH, True)
        assert [name for name, _ in world.asked] == ["census", "nominatim"]
        world.faults["nominatim"] = lambda *_: Sent(status=500)
        found = in_turn()
        assert (found.verdict, found.definite) == (Verdict.NO_MATCH, False)


def test_the_strictest_terms_hold_for_a_common_no() -> None:
    with geocoding("census", "google", "mapbox"):
        assert in_turn().provider == "mapbox"
    with geocoding("census", "google"):
        assert in_turn().provider == "google"


@pytest.mark.parametrize("fault", ["down", "silent", "quota", "half", "drip"])
def test_the_next_one_is_asked_within_the_same_time(fault: str) -> None:
    sent = {
        "down": Sent(status=503),
        "quota": Sent(status=429),
        "half": Sent(body=b'{"result": {"addressMatches": [', half=True),
        "drip": Sent(drip=True),
    }

    def happen(*_: str) -> Sent:
        if fault == "silent":
            world.ended.wait(SLOW)
            return Sent()
        return sent[fault]

    with geocoding("census", "nominatim") as world:
        world.places[HEIGHTS] = POINT
        world.faults["census"] = happen
        begun = time.monotonic()
        found = in_turn(seconds=6)
        took = time.monotonic() - begun
        world.ended.set()
    assert found.provider == "nominatim"
    assert took < 6, "one time for both"


def test_nobody_that_answers_is_a_refusal_with_a_time() -> None:
    with geocoding("census", "nominatim") as world:
        for name in ("census", "nominatim"):
            world.faults[name] = lambda *_: Sent(status=429, headers=(("Retry-After", "40"),))
        with pytest.raises(GeocodersUnavailable):
            in_turn()
        with pytest.raises(GeocodersUnavailable) as refused:
            in_turn()
        assert len(world.asked) == 2, "both rest now"
        assert 1 < refused.value.retry_after <= 41
    with geocoding(), pytest.raises(GeocodersUnavailable):
        in_turn()


def test_a_provider_that_fails_again_and_again_rests_and_is_tried_once_after_that() -> None:
    with geocoding("census") as world:
        world.faults["census"] = lambda *_: Sent(status=500)
        for _ in range(6):
            with pytest.raises(GeocodersUnavailable):
                in_turn()
        assert len(world.asked) == failing.IN_A_ROW
        assert 0 < store.rests(["census"])["census"] <= failing.FIRST_REST
        store.wake("census")
        with pytest.raises(GeocodersUnavailable):
            in_turn()
        with pytest.raises(GeocodersUnavailable):
            in_turn()
        assert len(world.asked) == failing.IN_A_ROW + 1
        assert store.rests(["census"])["census"] > failing.FIRST_REST, "twice as long"
        store.wake("census")
        world.faults.clear()
        assert in_turn().verdict is Verdict.NO_MATCH


def test_a_question_that_is_refused_does_not_close_the_provider_to_others() -> None:
    with geocoding("census") as world:
        world.faults["census"] = lambda *_: Sent(status=400)
        for _ in range(failing.IN_A_ROW + 2):
            with pytest.raises(GeocodersUnavailable):
                in_turn()
        assert not store.rests(["census"])


def test_addresses_and_keys_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with geocoding(*ALL) as world:
        for name in ALL:
            world.faults[name] = lambda *_: Sent(status=500, body=HEIGHTS.encode())
        for _ in range(4):
            with pytest.raises(GeocodersUnavailable):
                in_turn()
    assert "geocoder.rests" in caplog.text
    formatter = StructuredFormatter()
    written = caplog.text + "".join(formatter.format(record) for record in caplog.records)
    for secret in ("Silver", "Hill", "a-key-of-the-tests"):
        assert secret not in written


# Limits -----------------------------------------------------------------------------------------


def test_slots_are_those_of_all_processes_together() -> None:
    begin_anew()
    slots = [store.reserve("opencage", rate=0.5, burst=3, longest=3) for _ in range(6)]
    assert [slot.granted for slot in slots] == [True] * 4 + [False] * 2
    assert [slot.wait for slot in slots[:3]] == [0, 0, 0]
    assert 0 < slots[3].wait <= 2
    assert slots[4].wait > 2


def test_without_redis_a_process_takes_its_share_alone(settings) -> None:
    begin_anew()
    settings.REDIS_URL = ""
    settings.PROCESSES = 4
    first = store.reserve("mapbox", rate=10, burst=10, longest=1)
    second = store.reserve("mapbox", rate=10, burst=10, longest=1)
    assert (first.granted, second.granted) == (True, True)
    assert 0.2 < second.wait <= 0.4
    assert not store.reserve("mapbox", rate=0.1, burst=1, longest=0.1).granted
    store.rest("mapbox", seconds=30)
    assert store.reserve("mapbox", rate=10, burst=10, longest=1).resting
    assert "mapbox" in store.rests(["mapbox"])
    store._begin_anew()


def test_a_provider_without_a_slot_in_time_is_passed_over() -> None:
    rates = {"nominatim": 0.01, "census": 10_000.0}
    with (
        geocoding("nominatim", "census") as world,
        override_settings(GEOCODER_RATES=rates),
    ):
        store.reserve("nominatim", rate=0.01, burst=1, longest=0)
        world.places[HEIGHTS] = POINT
        assert in_turn().provider == "census"


def test_the_table_of_terms_is_whole(settings) -> None:
    assert set(TERMS) == set(settings.GEOCODER_NAMES) == set(ALL)
    for terms in TERMS.values():
        assert terms.url.startswith("https://")
        assert terms.attribution
        assert terms.note
    assert TERMS["nominatim"].rate <= 1
    assert TERMS["mapbox"].stored_for is not None
