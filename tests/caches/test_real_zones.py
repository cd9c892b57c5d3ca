"""The real zones, where they lie beside the checkout: every known address, every tract's point."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import shapely
from django.conf import settings
from django.core.management import call_command
from django.test import Client, override_settings

from caches.models import Zone
from caches.queries import lookup
from caches.queries.answers import Result
from caches.queries.index import look_up, look_up_many
from caches.queries.points import Point
from caches.queries.states import STATES
from caches.services.seeding import SeedReport, seed
from caches.services.sources import choose_location
from tests.caches.drawing import ask
from tests.caches.memory import in_memory
from tests.homes import databases_of

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("caches"))

logger = logging.getLogger(__name__)
DAY = dt.date(2026, 6, 1)
AT = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
POINTS = "tract_internal_points_2019.csv.gz"


@pytest.fixture
def seeded(real_folder: Path) -> SeedReport:
    """Seed from where the command would look without any setting."""
    beside = Path(settings.BASE_DIR).parent / "shared" / "data"
    return seed(location=choose_location(given="", configured="", beside=beside), at=AT)


def _internal_points(folder: Path) -> Iterator[tuple[str, float, float]]:
    with gzip.open(folder / POINTS, "rt") as lines:
        for row in csv.DictReader(lines):
            yield row["geoid"], float(row["lat"]), float(row["lon"])


def test_every_known_address_is_answered_right(
    seeded: SeedReport, real_folder: Path, client: Client
) -> None:
    assert (seeded.zone_count, seeded.polygon_count) == (8764, 6689)
    with (real_folder / "expected_lookups.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    wrong = []
    for row in rows:
        answer = ask(float(row["lat"]), float(row["lon"]), DAY)
        wanted = ("yes", row["expected_geoid"]) if row["expected_geoid"] else ("no", None)
        if (answer.result, answer.tract) != wanted:
            wrong.append((row["lat"], row["lon"], wanted, answer.result, answer.tract))
    assert wrong == []
    assert len(rows) == 2820
    with in_memory():
        for row in rows:
            query = {"lat": row["lat"], "lon": row["lon"], "asOf": "2026-06-01"}
            said = client.get("/api/opportunity-zones/check", query).json()
            assert (said["tract"] or "") == row["expected_geoid"]
            assert said["result"] == ("yes" if row["expected_geoid"] else "no")
        assert _by_batch(client, rows) == [row["expected_geoid"] for row in rows]
    assert _by_batch(client, rows[:1000]) == [row["expected_geoid"] for row in rows[:1000]]


def _by_batch(client: Client, rows: list[dict[str, str]]) -> list[str]:
    found: list[str] = []
    for start in range(0, len(rows), 1000):
        points = [
            {"lat": float(row["lat"]), "lon": float(row["lon"])}
            for row in rows[start : start + 1000]
        ]
        body = {"points": points, "asOf": "2026-06-01"}
        answer = client.post(
            "/api/opportunity-zones/check/batch", body, content_type="application/json"
        )
        found += [item["tract"] or "" for item in answer.json()["items"]]
    return found


@pytest.mark.long
def test_all_paths_agree_on_100_000_random_points_near_borders(seeded: SeedReport) -> None:
    """Corners themselves, and points some metres off, inside and outside."""
    random = np.random.default_rng(11)
    with in_memory() as held:
        (index,) = held.indexes
        corners = shapely.get_coordinates(index.entries[: len(index.zone_of)])
        chosen = corners[random.integers(0, len(corners), 100_000)]
        off = random.normal(0, 1e-4, chosen.shape) * random.integers(0, 2, (len(chosen), 1))
        lons, lats = np.clip(chosen + off, (-180, -90), (180, 90)).T
        points = [Point(lat=y, lon=x) for x, y in zip(lons.tolist(), lats.tolist(), strict=True)]
        at_once = look_up_many(held.indexes, points, DAY)
        alone = [look_up(held.indexes, point, DAY) for point in points]
    assert at_once == alone
    assert {str(answer.result) for answer in alone} == {"yes", "no", "unknown"}
    differ = [
        point
        for point, answer in zip(points, alone, strict=True)
        if lookup.look_up(point, DAY) != answer
    ]
    assert differ == []
    on_corners = [
        answer
        for answer, (right, up) in zip(alone, off.tolist(), strict=True)
        if not right and not up
    ]
    assert all(answer.result is Result.YES for answer in on_corners), "a border belongs to its zone"


def test_the_internal_points_of_tracts_are_answered_right(
    seeded: SeedReport, real_folder: Path
) -> None:
    """Points in the water before a coast, or of a tract renumbered since, are no fault of ours."""
    if not (real_folder / POINTS).is_file():
        pytest.skip("The internal points of tracts do not lie in shared/data.")
    with_polygon = set(Zone.objects.with_polygon().values_list("geoid", flat=True))
    without = set(Zone.objects.without_polygon().values_list("geoid", flat=True))
    incomplete = {geoid[:2] for geoid in without}
    answers = {
        geoid: ask(lat, lon, DAY)
        for number, (geoid, lat, lon) in enumerate(_internal_points(real_folder))
        if geoid in with_polygon or geoid in without or number % 20 == 0
    }
    missed = [
        (geoid, str(answer.result), answer.tract)
        for geoid, answer in answers.items()
        if geoid in with_polygon and answer.tract != geoid
    ]
    seen = len(with_polygon & answers.keys())
    known = [g for g in without if g in answers and answers[g].result is not Result.UNKNOWN]
    elsewhere = [
        geoid
        for geoid in answers.keys() - with_polygon - without
        if answers[geoid].result is not (Result.UNKNOWN if geoid[:2] in incomplete else Result.NO)
    ]
    logger.info("internal points that lie outside their tract's polygon: %s", missed)
    assert known == [], "a zone without a polygon is unknown, never no"
    assert len(missed) / seen <= 0.006, missed
    assert len(elsewhere) <= 1, elsewhere


def test_the_aleutians_are_found_on_both_sides_of_the_antimeridian(seeded: SeedReport) -> None:
    parts = Zone.objects.get(geoid="02016000100").parts.order_by("min_lon")
    sides = [(part.min_lon, part.max_lon) for part in parts]
    assert len(sides) == 2
    assert sides[0][0] >= -180
    assert sides[0][1] < 0 < sides[1][0]
    assert ask(51.95, 179.5, DAY).tract == "02016000100"


def test_seeding_twice_changes_nothing_and_check_says_which_states_lack_polygons(
    seeded: SeedReport, real_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with override_settings(OPPORTUNITY_ZONES_SOURCE=""):
        call_command("seed_opportunity_zones")
    assert "nothing changed" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        call_command("seed_opportunity_zones", "--check")
    assert "2,075 of 8,764 zones have no polygon" in capsys.readouterr().out


def test_the_boxes_of_the_states_hold_all_their_tracts(real_folder: Path) -> None:
    if not (real_folder / POINTS).is_file():
        pytest.skip("The internal points of tracts do not lie in shared/data.")
    outside = [
        geoid
        for geoid, lat, lon in _internal_points(real_folder)
        if not STATES[geoid[:2]].near(lon=lon, lat=lat)
    ]
    assert outside == []
