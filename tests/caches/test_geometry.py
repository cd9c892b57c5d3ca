"""Polygons, the antimeridian and distances, without a database."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import LineString, MultiPolygon, Polygon, box

import caches
from caches.queries.geometry import (
    halves,
    holds,
    metres_to_border,
    polygonal,
    within_half_turns,
)
from tests.caches.drawing import square

FORBIDDEN = {"prepare", "contains_xy", "intersects_xy", "destroy_prepared", "prep"}


def test_a_bow_tie_is_mended_into_its_two_wings() -> None:
    tie = Polygon([(0, 0), (1, 1), (1, 0), (0, 1), (0, 0)])
    mended = polygonal(tie)
    assert isinstance(mended, MultiPolygon)
    assert mended.is_valid
    assert mended.area == pytest.approx(0.5)


def test_lines_that_mending_leaves_are_dropped_and_nothing_is_left_of_a_line() -> None:
    spike = Polygon([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0.5), (-1, 0.5), (0, 0.5), (0, 0)])
    mended = polygonal(spike)
    assert mended is not None
    assert mended.equals(box(0, 0, 1, 1))
    assert polygonal(LineString([(0, 0), (1, 1)])) is None


@pytest.mark.parametrize(
    "ring",
    [
        [(179.9, 51), (-179.9, 51), (-179.9, 52), (179.9, 52), (179.9, 51)],
        [(179.9, 51), (180.1, 51), (180.1, 52), (179.9, 52), (179.9, 51)],
        [(-180.1, 51), (-179.9, 51), (-179.9, 52), (-180.1, 52), (-180.1, 51)],
    ],
    ids=["jumps to the other side", "runs past 180", "starts before -180"],
)
def test_a_ring_over_the_antimeridian_is_cut_into_an_eastern_and_a_western_half(
    ring: list[tuple[float, float]],
) -> None:
    whole = within_half_turns(Polygon(ring))
    assert whole.area == pytest.approx(0.2)
    sides = sorted(half.bounds for half in halves(whole))
    assert sides == [
        pytest.approx((-180, 51, -179.9, 52)),
        pytest.approx((179.9, 51, 180, 52)),
    ]


def test_a_hole_over_the_antimeridian_stays_a_hole() -> None:
    shell = [(179, 50), (-179, 50), (-179, 52), (179, 52), (179, 50)]
    hole = [(179.5, 50.5), (-179.5, 50.5), (-179.5, 51.5), (179.5, 51.5), (179.5, 50.5)]
    whole = within_half_turns(Polygon(shell, [hole]))
    assert whole.area == pytest.approx(4 - 1)
    assert not holds(whole, lon=179.9, lat=51)
    assert holds(whole, lon=179.2, lat=51)


def test_a_polygon_on_one_side_is_left_as_it_is() -> None:
    plain = box(-77, 38, -76, 39)
    assert within_half_turns(plain).equals(plain)
    assert halves(plain) == [plain]


def test_the_distance_to_the_border_is_in_metres() -> None:
    zone = box(-77.1, 38.9, -76.9, 39.1)
    # 0.1 degrees of longitude at 39 degrees north, by the sphere's cosine: 8,641 m
    assert metres_to_border(zone, lon=-77.0, lat=39.0) == pytest.approx(8641, rel=0.005)
    assert metres_to_border(zone, lon=-77.0, lat=39.1) == pytest.approx(0, abs=0.01)


def test_the_cut_along_the_antimeridian_is_no_border() -> None:
    east, west = halves(within_half_turns(Polygon(square(180, 0, 1.0))))
    assert metres_to_border(east, lon=180.0, lat=0) == pytest.approx(111_195, rel=0.01)
    assert metres_to_border(west, lon=-179.99, lat=0) == pytest.approx(110_000, rel=0.01)


@given(lon=st.floats(-179, 179), lat=st.floats(-80, 80), half=st.floats(0.001, 0.9))
def test_every_corner_of_a_zone_lies_in_it(lon: float, lat: float, half: float) -> None:
    ring = square(lon, lat, half)
    zone = Polygon(ring)
    assert all(holds(shapely.from_wkb(shapely.to_wkb(zone)), lon=x, lat=y) for x, y in ring)


def test_nothing_in_the_app_prepares_geometries() -> None:
    """Prepared geometries that threads share crash the process (libgeos issue 825)."""
    found = [
        f"{path.name}: {name}"
        for path in Path(caches.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _names(node)
        if name in FORBIDDEN and "shapely" in path.read_text()
    ]
    # `prepare` of our own services is a function of this project, not shapely's.
    assert [line for line in found if not line.startswith(("preparing.py", "seeding.py"))] == []


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.ImportFrom):
        return [alias.name for alias in node.names]
    return []


IN_THREADS = """
import datetime as dt, os, sys, threading
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
import django, shapely
django.setup()
from caches.models import Miss
from caches.queries.answers import Tract, Version
from caches.queries.features import Shape, drawn
from caches.queries.index import Contents, Indexes, ZoneIndex, look_up, look_up_many
from caches.queries.packing import pack
from caches.queries.points import Point

day = dt.date(2026, 6, 1)
version = Version(program="oz1", generation=1, name="drawn", resolution="full", miss=Miss.NO,
                  is_sample=False, effective_from=day, effective_to=day)
count = int(sys.argv[1])
points = [Point(lat=number // 120 - 30.0, lon=number % 120 - 100.0) for number in range(count)]
circles = [pack(shapely.Point(p.lon, p.lat).buffer(0.4, quad_segs=100)) for p in points]
zones = [(Tract(f"{n:011d}", "", "", ""), (circle,)) for n, circle in enumerate(circles)]
indexes = Indexes([ZoneIndex(Contents(version=version, zones=zones, areas=[]))])
wrong = []
begin = threading.Barrier(4)

def run():
    begin.wait()
    for number, point in enumerate(points):
        if look_up(indexes, point, day).tract != f"{number:011d}":
            wrong.append(number)
    if len({answer.tract for answer in look_up_many(indexes, points, day)}) != len(points):
        wrong.append(-1)
    shapes = [Shape(tract=tract, version=version, parts=indexes[0].parts_of(tract.geoid))
              for tract, _ in zones[:2000]]
    drawn(shapes, zoom=6)

threads = [threading.Thread(target=run) for _ in range(4)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
sys.exit(bool(wrong))
"""


@pytest.mark.parametrize("zones", [600, pytest.param(8764, marks=pytest.mark.long)])
def test_four_threads_look_at_all_zones_at_once_without_a_crash(zones: int) -> None:
    root = Path(caches.__file__).parent.parent
    command = [sys.executable, "-c", IN_THREADS, str(zones)]
    done = subprocess.run(command, cwd=root, check=False)
    assert done.returncode == 0
