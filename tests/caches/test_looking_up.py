"""A point is asked about: yes, no or unknown, from the database."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from django.db import connections, router
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from caches.models import Program, ZonePart
from caches.queries import lookup
from caches.queries.lookup import Result
from caches.services.seeding import seed
from tests.caches.drawing import (
    ask,
    many_squares,
    multipolygon,
    polygon,
    seed_oz2,
    square,
    write_folder,
)
from tests.homes import databases_of

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("caches"))

WEST, EAST = "08001000100", "08001000200"
HOLED, NESTED, TWIN, ALEUTIANS, BROKEN = (
    "08001000300",
    "08001000400",
    "08001000500",
    "02016000100",
    "08001000600",
)
ZONES = {
    EAST: polygon(square(-103.8, 39)),
    WEST: polygon(square(-104, 39)),
    HOLED: polygon(square(-102, 39, 0.3), square(-102, 39, 0.2)),
    NESTED: polygon(square(-102, 39, 0.05)),
    TWIN: multipolygon(square(-100, 39), square(-99, 39)),
    ALEUTIANS: polygon(square(180, 52, 0.5)),
    BROKEN: polygon([[-98.0, 39.0], [-97.0, 40.0], [-97.0, 39.0], [-98.0, 40.0], [-98.0, 39.0]]),
}


@pytest.fixture
def drawn(tmp_path: Path) -> None:
    seed_oz2(write_folder(tmp_path / "drawn", ZONES, listed=list(ZONES)))


@pytest.mark.parametrize(
    ("lat", "lon", "tract"),
    [
        (39, -104, WEST),
        (39, -103.8, EAST),
        (39, -102.25, HOLED),
        (39, -102, NESTED),  # lies in the hole of another
        (39, -102.2, HOLED),  # the border of a hole belongs to the zone
        (39, -100, TWIN),
        (39, -99, TWIN),
        (52, 179.75, ALEUTIANS),
        (52, -179.75, ALEUTIANS),
        (52, 180, ALEUTIANS),
        (52, -180, ALEUTIANS),
        (39.5, -97.1, BROKEN),  # both wings of a bow tie
        (39.5, -97.9, BROKEN),
    ],
)
def test_a_point_in_a_zone_is_a_yes_with_its_tract(
    drawn: None, lat: float, lon: float, tract: str
) -> None:
    answer = ask(lat, lon)
    assert (answer.result, answer.tract) == (Result.YES, tract)


@pytest.mark.parametrize(
    ("lat", "lon"),
    [(39, -102.1), (39, -99.5), (52, 179.4), (52, -179.4), (39.9, -97.5), (39, -105), (48.8, 2.3)],
)
def test_outside_a_complete_set_it_is_a_no(drawn: None, lat: float, lon: float) -> None:
    answer = ask(lat, lon)
    assert answer.result is Result.NO
    assert answer.matches == ()
    assert answer.distance_to_border_m is None


def test_a_border_counts_as_inside_and_two_zones_are_both_named(drawn: None) -> None:
    answer = ask(39, -103.9)
    assert answer.tract == WEST, "the smallest id is the first"
    assert [match.tract for match in answer.matches] == [WEST, EAST]
    assert all(match.on_border for match in answer.matches)
    assert answer.distance_to_border_m == pytest.approx(0, abs=0.1)


def test_the_distance_to_the_border_is_in_metres(drawn: None) -> None:
    assert ask(39, -104).distance_to_border_m == pytest.approx(8641, rel=0.005)
    assert ask(52, 180).distance_to_border_m == pytest.approx(34_230, rel=0.01)


def test_the_answer_says_what_it_was_made_from(drawn: None) -> None:
    answer = ask(39, -104)
    assert answer.program == "oz2"
    assert answer.dataset is not None
    assert answer.dataset.startswith("oz2-2020-")
    assert (answer.resolution, answer.sample) == ("500k", False)
    assert answer.as_of == dt.date(2027, 6, 1)


def test_before_anything_is_seeded_the_answer_is_unknown() -> None:
    answer = ask(39, -104)
    assert answer.result is Result.UNKNOWN
    assert (answer.program, answer.dataset) == (None, None)


def test_a_day_without_a_program_in_force_is_unknown(drawn: None) -> None:
    assert ask(39, -104, dt.date(2026, 12, 31)).result is Result.UNKNOWN
    assert ask(39, -104, dt.date(2037, 1, 1)).result is Result.UNKNOWN


def test_while_two_programs_are_in_force_both_are_looked_at(drawn: None, tmp_path: Path) -> None:
    other = write_folder(tmp_path / "oz1", {WEST: polygon(square(-104, 39))})
    seed(location=str(other), at=timezone.now(), program=Program.OZ1)
    both = ask(39, -104)
    assert [(match.tract, match.program) for match in both.matches] == [
        (WEST, "oz1"),
        (WEST, "oz2"),
    ]
    assert {match.program for match in ask(39, -104, program="oz2").matches} == {"oz2"}
    assert {match.program for match in ask(39, -104, dt.date(2026, 1, 1)).matches} == {"oz1"}
    assert {match.program for match in ask(39, -104, dt.date(2029, 1, 1)).matches} == {"oz2"}
    assert ask(39, -102.1).result is Result.UNKNOWN, "the first program's list is not whole"


def test_a_zone_without_a_polygon_makes_its_surroundings_unknown(tmp_path: Path) -> None:
    """Missing: a tract in the middle of Kansas; Oklahoma, south of it, is complete."""
    points = {
        f"{fips}001{row:03d}{column:03d}": (-99 + column * 0.2, lat)
        for fips, first, step in (("20", 37.1, 0.2), ("40", 36.9, -0.2))
        for row, lat in enumerate(first + step * n for n in range(6))
        for column in range(8)
    }
    known, missing = "40001000000", "20001003004"
    folder = write_folder(
        tmp_path / "d",
        {known: polygon(square(-99, 36.9, 0.05))},
        listed=[known, missing],
        points=points,
    )
    report = seed_oz2(folder)
    assert (report.zone_count, report.polygon_count) == (2, 1)
    lon, lat = points[missing]
    assert ask(lat, lon).result is Result.UNKNOWN
    assert ask(37.1, -99).result is Result.UNKNOWN, "the whole state is incomplete"
    assert ask(36.9, -99).result is Result.YES
    assert ask(36.5, -98).result is Result.NO, "the next state is complete"


def test_one_statement_answers_so_that_no_answer_mixes_versions(drawn: None) -> None:
    connection = connections[router.db_for_read(ZonePart)]
    with CaptureQueriesContext(connection) as captured:
        ask(39, -104)
    assert len(captured) == 1


def test_the_look_up_uses_the_index_over_boxes(tmp_path: Path) -> None:
    seed_oz2(write_folder(tmp_path / "d", many_squares(3000)))
    connection = connections[router.db_for_read(ZonePart)]
    if connection.vendor != "postgresql":
        pytest.skip("Boxes are indexed on PostgreSQL only.")
    statement = lookup.statement(vendor=connection.vendor)
    with connection.cursor() as cursor:
        cursor.execute(
            f"EXPLAIN {statement}",
            {"lon": -104.0, "lat": 39.0, "as_of": dt.date(2027, 6, 1), "program": None},
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "caches_zonepart_bb" in plan
