"""The index in memory answers as the database does, follows it, and outlives it."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import shapely
from django.db import connections
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from caches.models import Program
from caches.queries import features, index, lookup, snapshot
from caches.queries.answers import Answer, Result
from caches.queries.features import Asked
from caches.queries.packing import pack, unpack, unpack_many
from caches.queries.points import Point
from caches.services import answering, holding, versions
from caches.services.sample import PLACES
from caches.services.seeding import seed
from caches.services.sources import SAMPLE
from databases.breaker import AliasUnavailable
from tests.caches.drawing import (
    IN_FORCE,
    many_squares,
    multipolygon,
    polygon,
    seed_oz2,
    square,
    write_folder,
)
from tests.caches.memory import in_memory
from tests.homes import databases_of

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("caches"))

WEST, EAST, HOLED, NESTED = "08001000100", "08001000200", "08001000300", "08001000400"
TWIN, ALEUTIANS, BROKEN, SILENT = "08001000500", "02016000100", "08001000600", "08001000700"
ZONES = {
    EAST: polygon(square(-103.8, 39)),
    WEST: polygon(square(-104, 39)),
    HOLED: polygon(square(-102, 39, 0.3), square(-102, 39, 0.2)),
    NESTED: polygon(square(-102, 39, 0.05)),
    TWIN: multipolygon(square(-100, 39), square(-99, 39)),
    ALEUTIANS: polygon(square(180, 52, 0.5)),
    BROKEN: polygon([[-98.0, 39.0], [-97.0, 40.0], [-97.0, 39.0], [-98.0, 40.0], [-98.0, 39.0]]),
}


@pytest.fixture(autouse=True)
def nothing_held() -> Iterator[None]:
    holding.forget()
    yield
    holding.forget()


def _points() -> list[Point]:
    """Return corners, borders, middles, both sides of the antimeridian, and points at random."""
    found = [
        Point(lat=lat + y, lon=lon + x)
        for lat, lon in ((39, -104), (39, -103.8), (39, -102), (39, -99), (39.5, -97.5))
        for x in (-0.3, -0.2, -0.1, -0.05, 0, 0.1, 0.5)
        for y in (-0.1, 0, 0.05, 0.1, 0.5)
    ]
    found += [
        Point(lat=52 + y, lon=lon)
        for y in (-0.5, 0, 0.5)
        for lon in (179.4, 179.5, 179.75, 180, -180, -179.75, -179.5, -179.4)
    ]
    drawn = np.random.default_rng(7).uniform((38.5, -105), (40.5, -96.5), (200, 2))
    return found + [Point(lat=float(lat), lon=float(lon)) for lat, lon in drawn]


def test_memory_batch_and_database_give_the_same_answers(tmp_path: Path) -> None:
    """Borders, holes, nests, multipolygons, the antimeridian, bow ties, zones without a border."""
    whole = ZONES | {SILENT: None}
    seed_oz2(write_folder(tmp_path / "two", whole, listed=list(whole)))
    seed(
        location=str(write_folder(tmp_path / "one", {WEST: polygon(square(-104, 39))})),
        at=timezone.now(),
        program=Program.OZ1,
    )
    points = _points()
    from_database = [lookup.look_up(point, IN_FORCE) for point in points]
    with in_memory() as held:
        one_by_one = [index.look_up(held.indexes, point, IN_FORCE) for point in points]
        at_once = index.look_up_many(held.indexes, points, IN_FORCE)
        only_two = index.look_up(held.indexes, Point(lat=39, lon=-104), IN_FORCE, "oz2")
        later = index.look_up(held.indexes, Point(lat=39, lon=-104), dt.date(2029, 1, 1))
    assert one_by_one == from_database
    assert at_once == from_database
    assert {str(answer.result) for answer in from_database} == {"yes", "unknown"}
    assert [match.program for match in from_database[17].matches] == ["oz1", "oz2"]
    assert [match.program for match in only_two.matches] == ["oz2"]
    assert [match.program for match in later.matches] == ["oz2"]


def test_no_query_is_made_while_memory_answers(tmp_path: Path) -> None:
    seed_oz2(write_folder(tmp_path / "d", ZONES, listed=list(ZONES)))
    with in_memory():
        aliases = databases_of("caches")
        captured = [CaptureQueriesContext(connections[alias]) for alias in aliases]
        for one in captured:
            one.__enter__()
        answers = answering.check_many(_points(), IN_FORCE, None)
        answers.append(answering.check(Point(lat=39, lon=-104), IN_FORCE, None))
        for one in captured:
            one.__exit__(None, None, None)
    assert answers[-1].tract == WEST
    assert sum(len(one) for one in captured) == 0


def test_a_version_that_is_activated_is_swapped_in_and_a_roll_back_too(tmp_path: Path) -> None:
    seed_oz2(write_folder(tmp_path / "old", many_squares(3)))
    with in_memory() as first:
        assert not holding.look(), "nothing changed"
        assert holding.current() is first
        seed_oz2(write_folder(tmp_path / "new", many_squares(4)))
        assert holding.look()
        new = holding.current()
        assert new is not None
        assert [one.version.generation for one in new.indexes] == [2]
        assert (len(first.indexes[0].tracts), len(new.indexes[0].tracts)) == (3, 4)
        versions.roll_back(program="oz2", at=timezone.now())
        holding.look()
        back = holding.current()
        assert back is not None
        assert (len(back.indexes[0].tracts), back.indexes[0].version.generation) == (3, 3)
        assert first.tag != new.tag != back.tag


def test_zones_in_a_box_are_the_same_from_memory_and_database(tmp_path: Path) -> None:
    seed_oz2(write_folder(tmp_path / "d", ZONES | {SILENT: None}, listed=[*ZONES, SILENT]))
    for text in ("-105,38,-101,40", "179,51,-179,53", "-180,-90,180,90", "0,0,1,1"):
        asked = Asked(boxes=features.checked_box(text), as_of=IN_FORCE, program=None, limit=3)
        page = features.shapes_in_database(asked)
        with in_memory() as held:
            same = features.shapes_in_memory(held.indexes, asked)
            assert features.drawn(same, zoom=8) == features.drawn(page, zoom=8)
            for tract in (ALEUTIANS, SILENT, "08999999999"):
                one = features.shape_in_memory(held.indexes, tract, IN_FORCE, None)
                other = features.shape_in_database(tract, IN_FORCE, None)
                assert [shape.tract for shape in one] == [shape.tract for shape in other]


def test_borders_come_back_from_storage_as_they_were() -> None:
    shapes = [shapely.from_geojson(str(drawn).replace("'", '"')) for drawn in ZONES.values()]
    valid = [shapely.make_valid(shape) for shape in shapes[:5]]
    packed = [pack(shape) for shape in valid]
    assert all(
        unpack(data).equals_exact(shape, 1e-9) for data, shape in zip(packed, valid, strict=True)
    )
    assert all(shapely.equals_exact(unpack_many(packed), valid, 1e-9))
    wkb = shapely.to_wkb(valid[0])
    assert unpack(wkb).equals(valid[0]), "rows of earlier versions hold WKB"
    with pytest.raises(ValueError, match="no stored border"):
        unpack(b"GEO" + bytes(40))


# Without the database ---------------------------------------------------------------------------


def test_a_snapshot_gives_back_what_was_held_and_a_broken_one_is_not_believed(
    tmp_path: Path,
) -> None:
    seed_oz2(write_folder(tmp_path / "d", ZONES | {SILENT: None}, listed=[*ZONES, SILENT]))
    folder = tmp_path / "snapshots"
    point = Point(lat=52, lon=-179.75)
    with override_settings(OPPORTUNITY_ZONES_SNAPSHOTS=str(folder)):
        with in_memory() as held:
            wanted = index.look_up(held.indexes, point, IN_FORCE)
        found = holding.stand_in()
        assert found is not None
        assert found.origin == "snapshot"
        assert index.look_up(found.indexes, point, IN_FORCE) == wanted
        assert not holding.look() or holding.current() is not None, "the database confirms it"
    (file,) = folder.iterdir()
    data = bytearray(file.read_bytes())
    data[-50] ^= 1
    file.write_bytes(data)
    with pytest.raises(snapshot.SnapshotBroken):
        snapshot.read(folder, "oz2")


@override_settings(OPPORTUNITY_ZONES_SOURCE=str(SAMPLE))
def test_a_process_without_anything_builds_from_the_source_once() -> None:
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(holding.stand_in())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in found}) == 1
    held = holding.current()
    assert held is not None
    assert held.origin == "source"
    _, _, lat, lon = PLACES[0]
    answer: Answer = index.look_up(
        held.indexes, Point(lat=lat + 0.004, lon=lon), dt.date(2026, 6, 1)
    )
    assert (answer.result, answer.sample, answer.generation) == (Result.YES, True, 0)


@override_settings(OPPORTUNITY_ZONES_SOURCE="/nonexistent/zones.geojson")
def test_a_process_that_finds_nothing_says_503_and_does_not_try_at_every_request() -> None:
    with pytest.raises(AliasUnavailable):
        answering.stand_in()
    with pytest.raises(AliasUnavailable):
        answering.stand_in()
    assert holding.current() is None


def test_before_anything_is_seeded_nothing_is_held() -> None:
    assert holding.look()
    assert holding.current() is None
    assert answering.check(Point(lat=39, lon=-104), IN_FORCE, None).result is Result.UNKNOWN
