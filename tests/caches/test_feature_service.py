"""The client of feature services, against a server that replays their format and their failures."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from caches.models import SourcePage, Zone
from caches.queries.lookup import Result
from caches.services import feature_service
from caches.services.download import SourceUnreachable
from caches.services.feature_service import is_feature_service
from caches.services.parsing import SourceRefused
from caches.services.seeding import Outcome, SeedReport
from tests.caches.drawing import ask, collection, many_squares, seed_oz2
from tests.caches.feature_service import Fault, Service, serving
from tests.homes import databases_of

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("caches"))


@pytest.fixture
def service(monkeypatch) -> Iterator[Service]:
    """Serve 60 zones, 25 a page; pauses between tries are short."""
    monkeypatch.setattr(feature_service, "FIRST_PAUSE", 0.001)
    made = Service(collection(many_squares(60))["features"], most=25)
    with serving(made) as url:
        made.url = url
        yield made


def _seed(service: Service) -> SeedReport:
    return seed_oz2(service.url, allow_private=True)


def once(fault: bytes | int, *, offset: int = 25) -> Fault:
    """Return a fault of the first answer for one page."""

    def happen(service: Service, asked: dict[str, str]) -> bytes | int | None:
        if asked.get("resultOffset") != str(offset) or service.times["once"]:
            return None
        service.times["once"] += 1
        return fault

    return happen


def test_a_layer_is_told_by_its_address() -> None:
    assert is_feature_service("https://x.org/arcgis/rest/services/Zones/FeatureServer/0")
    assert is_feature_service("https://x.org/arcgis/rest/services/Zones/MapServer/13/")
    assert not is_feature_service("https://x.org/zones.geojson")
    assert not is_feature_service("/srv/FeatureServer/0")


def test_all_pages_become_zones_and_are_forgotten(service: Service) -> None:
    report = _seed(service)
    assert (report.outcome, report.zone_count) == (Outcome.SEEDED, 60)
    assert service.offsets == [0, 25, 50]
    page = next(one for one in service.asked if one.get("resultOffset") == "25")
    assert page["orderByFields"] == "OBJECTID"
    assert (page["f"], page["outSR"]) == ("geojson", "4326")
    assert page["outFields"] == "OBJECTID,GEOID10,STATE,COUNTY,STATE_NAME"
    assert not SourcePage.objects.exists()
    assert ask(39.0, -104.0).result is Result.YES
    assert _seed(service).outcome is Outcome.UNCHANGED
    assert not SourcePage.objects.exists()


@pytest.mark.parametrize(
    "fault",
    [
        500,
        503,
        429,
        b'{"error": {"code": 500, "message": "Error performing query operation", "details": []}}',
        b'{"error": {"code": 400, "message": "Cannot perform query.", "details": []}}',
        b'{"type": "FeatureCollection", "features": [{"type": "Fea',
        b'{"type": "FeatureCollection", "features": []}',
        b"<html>Service unavailable</html>",
    ],
)
def test_what_fails_for_a_moment_is_asked_again_in_smaller_pages(
    service: Service, fault: bytes | int
) -> None:
    service.faults.append(once(fault))
    assert _seed(service).zone_count == 60
    assert service.offsets[:3] == [0, 25, 25]


def test_a_run_that_dies_is_taken_up_behind_the_last_page(service: Service) -> None:
    def down(_service: Service, asked: dict[str, str]) -> int | None:
        return 503 if asked.get("resultOffset") == "50" else None

    service.faults.append(down)
    with pytest.raises(SourceUnreachable, match="answered 503"):
        _seed(service)
    assert SourcePage.objects.count() == 2
    assert not Zone.objects.exists()
    service.faults.clear()
    service.asked.clear()
    assert _seed(service).zone_count == 60
    assert service.offsets == [50]


def test_pages_of_an_older_state_of_the_service_are_not_taken_up(service: Service) -> None:
    service.faults.append(lambda _, asked: 503 if asked.get("resultOffset") == "50" else None)
    with pytest.raises(SourceUnreachable):
        _seed(service)
    service.faults.clear()
    service.asked.clear()
    service.edited += 1
    assert _seed(service).zone_count == 60
    assert service.offsets == [0, 25, 50]


def test_a_service_that_changes_while_it_is_read_is_read_anew(service: Service) -> None:
    def edit(changing: Service, asked: dict[str, str]) -> None:
        if asked.get("resultOffset") == "50" and not changing.times["edit"]:
            changing.times["edit"] += 1
            changing.edited += 1

    service.faults.append(edit)
    with pytest.raises(SourceUnreachable, match="changed while it was read"):
        _seed(service)
    assert not SourcePage.objects.exists()
    assert _seed(service).zone_count == 60


def test_features_that_come_twice_while_others_are_left_out_are_refused(service: Service) -> None:
    def twice(repeating: Service, asked: dict[str, str]) -> bytes | None:
        if asked.get("resultOffset") != "25":
            return None
        page = {"type": "FeatureCollection", "features": repeating.features[:25]}
        return json.dumps(page).encode()

    service.faults.append(twice)
    with pytest.raises(SourceUnreachable, match="35 different features of 60"):
        _seed(service)
    assert not Zone.objects.exists()


def test_a_service_that_refuses_is_not_asked_again_and_again(service: Service) -> None:
    service.faults.append(lambda _, __: b'{"error": {"code": 403, "message": "Forbidden"}}')
    with pytest.raises(SourceRefused, match="refused with the error 403"):
        _seed(service)
    assert len(service.asked) == 1


def test_a_service_in_a_private_network_is_not_asked_unless_told(service: Service) -> None:
    with pytest.raises(SourceRefused, match="https"):
        seed_oz2(service.url)
    assert service.asked == []
