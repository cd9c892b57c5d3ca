"""Look-ups of opportunity zones: memory against the database and the bare tree, load and refresh.

The zones are drawn for the measurement: 8,764 neighbours of about 400 corners each, as dense as
full TIGER borders. Where real zones lie in shared/data beside the checkout they are measured, too.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.common import (
    ROOT,
    disconnect,
    exit_code,
    median,
    memory_mb,
    percentile,
    report,
    site,
    table,
)
from devservers.aliases import OTHERS, PRIMARY

ZONES = 8764
SIDE = 94
"""Zones in a row."""
CORNERS = 100
"""On each of a zone's four sides."""
STEP = 0.06
DAY = dt.date(2026, 6, 1)
TARGETS = {
    "over_postgres": (">=", 3.0),
    "over_strtree": ("<=", 1.15),  # of finding the zones; the answer with its distance: beside
    "view_ratio": ("<=", 2.5),
    "batch_gain": (">=", 20.0),
    "postgres_over_select1": (">=", 0.4),
    "load_s": ("<=", 0.6),
    "load_mb": ("<=", 120.0),
    "refresh_max_ms": ("<=", 100.0),
}
Call = Callable[[], object]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=4000, help="look-ups of each kind (4000)")
    parser.add_argument("--refreshes", type=int, default=4, help="refreshes under load (4)")
    options = parser.parse_args()
    with site("zones", (PRIMARY, OTHERS)), TemporaryDirectory() as folder:
        logging.getLogger("caches").setLevel(logging.ERROR)
        source = draw(Path(folder) / "zones.geojson", version=0)
        seed_from(source)
        figures = measure_load()
        figures |= measure_look_ups(options.points)
        figures |= measure_views(options.points)
        figures |= measure_refreshes(Path(folder), options.refreshes)
        figures |= measure_real(options.points)
        met = report("zones", figures=figures, targets=TARGETS)
    exit_code(met=met)


# Zones ------------------------------------------------------------------------------------------


def draw(path: Path, *, version: int) -> Path:
    """Write neighbouring zones with ragged borders; a later version moves a corner of one zone."""
    features = list(_features())
    if version:
        moved = json.loads(features[version])
        corner = moved["geometry"]["coordinates"][0][1]
        corner[1] = round(corner[1] - 1e-5, 7)
        features[version] = json.dumps(moved)
    joined = ",\n".join(features)
    path.write_text(f'{{"type": "FeatureCollection", "features": [\n{joined}\n]}}')
    return path


@cache
def _features() -> tuple[str, ...]:
    return tuple(
        json.dumps(
            {
                "type": "Feature",
                "properties": {"GEOID10": f"48{number:09d}", "COUNTY": "Drawn"},
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [_ring(number % SIDE, number // SIDE)],
                },
            }
        )
        for number in range(ZONES)
    )


def _ring(column: int, row: int) -> list[list[float]]:
    """Return a closed ring; sides that two zones share have the same corners."""
    west, south = -106 + column * STEP, 28 + row * STEP
    along = np.linspace(0, STEP, CORNERS, endpoint=False)
    # Each line of the grid is ragged in its own way, and quiet where lines cross.
    ragged = 0.05 * STEP * np.sin(np.pi * along / STEP)

    def level(line: int) -> Any:
        return ragged * np.sin(7e3 * along + line)

    def upright(line: int) -> Any:
        return ragged * np.cos(6e3 * along + line)

    bottom = np.column_stack((west + along, south + level(row * 7 + column)))
    right = np.column_stack((west + STEP + upright(column * 5 + 5 + row), south + along))
    top = np.column_stack((west + along, south + STEP + level(row * 7 + 7 + column)))
    left = np.column_stack((west + upright(column * 5 + row), south + along))
    corner = [[west + STEP, south + STEP]]
    points = np.concatenate((bottom, right, corner, top[:0:-1], left[:0:-1], bottom[:1]))
    ring: list[list[float]] = np.round(points, 7).tolist()
    return ring


def seed_from(location: Path) -> Any:
    """Seed the drawn zones."""
    from django.utils import timezone

    from caches.services.seeding import seed

    return seed(location=str(location), at=timezone.now())


def points_of(count: int) -> list[tuple[float, float]]:
    """Return (lat, lon): about one in eight lies in a zone, as with addresses; the rest around."""
    random = np.random.default_rng(5)
    lats = random.uniform(25, 49, count * 4)
    lons = random.uniform(-124, -70, count * 4)
    inside = (lats > 28) & (lats < 28 + STEP * SIDE) & (lons > -106) & (lons < -106 + STEP * SIDE)
    order = np.concatenate((np.flatnonzero(inside)[: count // 8], np.flatnonzero(~inside)))
    chosen = random.permutation(order[:count])
    return list(zip(lats[chosen].tolist(), lons[chosen].tolist(), strict=True))


# Load -------------------------------------------------------------------------------------------


def measure_load() -> dict[str, float]:
    """Load the index in fresh processes: the time from the first query, and the memory it takes."""
    context = multiprocessing.get_context("spawn")
    found = []
    for _ in range(5):
        ours, theirs = context.Pipe()
        child = context.Process(target=_load, args=(theirs,))
        child.start()
        found.append(ours.recv())
        child.join()
    table(
        ("load of 8,764 zones", "s", "MB"),
        [(f"process {n}", f"{s:.3f}", f"{mb:.1f}") for n, (s, mb) in enumerate(found, 1)],
    )
    return {"load_s": median(s for s, _ in found), "load_mb": max(mb for _, mb in found)}


def _load(answer: Any) -> None:
    import django

    django.setup()
    from django.db import connections

    from caches.queries import loading
    from caches.services import holding

    loading.pointers()  # the connection is open, the modules are there
    before = memory_mb(os.getpid())
    begun = time.perf_counter()
    holding.look()
    seconds = time.perf_counter() - begun
    answer.send((seconds, memory_mb(os.getpid()) - before))
    connections.close_all()
    disconnect()


# Look-ups ---------------------------------------------------------------------------------------


def in_turn(sides: Sequence[Call], rounds: int) -> list[list[float]]:
    """Return the seconds of each call, the sides taking turns so that noise meets all of them."""
    found: list[list[float]] = [[] for _ in sides]
    clock = time.perf_counter
    for number in range(-rounds // 20, rounds):
        for place in range(len(sides)):
            side = (place + number) % len(sides)
            begun = clock()
            sides[side]()
            if number >= 0:
                found[side].append(clock() - begun)
    return found


def measure_look_ups(count: int) -> dict[str, float]:
    """Time the look-up in memory, the bare tree, the look-up in the database and `select 1`."""
    import shapely
    from django.db import connections, router

    from caches.models import Zone
    from caches.queries import lookup
    from caches.queries.index import look_up
    from caches.queries.points import Point
    from caches.services import holding

    holding.look()
    held = holding.current()
    assert held is not None  # noqa: S101 - it was loaded above
    tree = shapely.STRtree(held.indexes[0].entries)
    asked = [Point(lat=lat, lon=lon) for lat, lon in points_of(count)]
    turn = iter(asked * 12)
    connection = connections[router.db_for_read(Zone)]

    def bare() -> object:
        point = next(turn)
        return tree.query(shapely.Point(point.lon, point.lat), predicate="intersects")

    def find() -> object:
        point = next(turn)
        return held.indexes[0].entries_at(point.lon, point.lat)

    def memory() -> object:
        return look_up(held.indexes, next(turn), DAY)

    def postgres() -> object:
        return lookup.look_up(next(turn), DAY)

    def select_1() -> object:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return cursor.fetchone()

    times = in_turn([memory, bare, postgres, select_1, find], count)
    _show(times, count)
    mean = [sum(seconds) / len(seconds) for seconds in times]
    hits = [point for point in asked if look_up(held.indexes, point, DAY).tract]
    turn = iter(hits * (20 + 10 * count // max(1, len(hits))))
    on_hits = in_turn([memory, bare], count // 4)
    return {
        "over_postgres": mean[2] / mean[0],
        "over_strtree": mean[4] / mean[1],
        "answer_over_strtree": mean[0] / mean[1],
        "over_strtree_hits": sum(on_hits[0]) / sum(on_hits[1]),
        "postgres_over_select1": mean[3] / mean[2],
    } | postgis(asked, connection)


def _show(times: Sequence[Sequence[float]], count: int) -> None:
    names = (
        "in memory, the answer",
        "bare STRtree.query",
        "in PostgreSQL",
        "select 1",
        "in memory, which zones",
    )
    table(
        (f"one look-up, of {count} points", "mean, µs", "p50, µs", "p99, µs"),
        [(name, *_micros(seconds)) for name, seconds in zip(names, times, strict=True)],
    )


def _micros(seconds: Sequence[float]) -> tuple[str, str, str]:
    mean = sum(seconds) / len(seconds)
    return tuple(  # type: ignore[return-value]  # three of them
        f"{value * 1e6:.1f}" for value in (mean, median(seconds), percentile(seconds, 0.99))
    )


def postgis(asked: Sequence[Any], connection: Any) -> dict[str, float]:
    """Time ST_Covers beside ours where the server has PostGIS, and say nothing where it has not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'postgis'")
        if cursor.fetchone() is None:
            print("PostGIS is not installed on this server: not measured.")
            return {}
        from caches.models import Zone
        from caches.queries.packing import unpack

        cursor.execute("CREATE EXTENSION IF NOT EXISTS postgis")
        cursor.execute("CREATE TABLE bench_zone (geoid text, geom geometry(Geometry, 4326))")
        rows = Zone.objects.with_polygon().values_list("geoid", "geom").iterator()
        cursor.executemany(
            "INSERT INTO bench_zone VALUES (%s, ST_GeomFromWKB(%s, 4326))",
            [(geoid, unpack(bytes(geom)).wkb) for geoid, geom in rows],
        )
        cursor.execute("CREATE INDEX ON bench_zone USING gist (geom)")
        cursor.execute("ANALYZE bench_zone")
        seconds = []
        for point in asked[:1000]:
            begun = time.perf_counter()
            cursor.execute(
                "SELECT geoid FROM bench_zone"
                " WHERE ST_Covers(geom, ST_SetSRID(ST_Point(%s, %s), 4326))",
                [point.lon, point.lat],
            )
            cursor.fetchall()
            seconds.append(time.perf_counter() - begun)
        cursor.execute("DROP TABLE bench_zone")
    return {"postgis_us": sum(seconds) / len(seconds) * 1e6}


# Views ------------------------------------------------------------------------------------------


def measure_views(count: int) -> dict[str, float]:
    """Time the whole view against an empty operation, and a batch against single views."""
    from django.db import connections
    from django.test import Client
    from django.test.utils import CaptureQueriesContext
    from django.urls import path as url_path

    from config import urls

    urls.urlpatterns.append(url_path("bench/", _empty_api().urls))
    client = Client()
    points = points_of(count)
    turn = iter(points * 4)
    check = "/api/opportunity-zones/check"

    def ask(address: str) -> Any:
        lat, lon = map(str, next(turn))
        return client.get(address, {"lat": lat, "lon": lon, "asOf": "2026-06-01"})

    if ask(check).status_code != 200:
        raise SystemExit("The view does not answer.")
    before = sum(len(one.queries_log) for one in connections.all())
    with CaptureQueriesContext(connections["cache"]) as captured:
        ask(check)
    ours, empty = in_turn([lambda: ask(check), lambda: ask("/bench/empty")], count // 2)
    thousand = {
        "points": [{"lat": lat, "lon": lon} for lat, lon in points[:1000]],
        "asOf": "2026-06-01",
    }
    body = json.dumps(thousand)

    def batch() -> object:
        return client.post(f"{check}/batch", body, content_type="application/json")

    (batches,) = in_turn([batch], 30)
    table(
        ("view", "mean, µs", "p50, µs", "p99, µs"),
        [
            ("check", *_micros(ours)),
            ("empty operation", *_micros(empty)),
            ("batch of 1,000", *_micros(batches)),
        ],
    )
    return {
        "view_ratio": median(ours) / median(empty),
        "view_queries": float(len(captured) + before),
        "batch_gain": median(ours) * 1000 / median(batches),
    }


def _empty_api() -> Any:
    """Return an API with one operation: the same parameters and middleware, and nothing done."""
    from django.http import HttpRequest, HttpResponse
    from ninja import Query, Router

    from caches.schemas import CheckAnswer, PointQuery
    from common.access import public
    from config.api import Api, StrictParser

    router = Router()

    def empty(request: HttpRequest, asked: Query[PointQuery]) -> HttpResponse:
        return HttpResponse(b"{}", content_type="application/json")

    # Their names are known here alone: the router could not resolve what the module postpones.
    empty.__annotations__ = {"request": HttpRequest, "asked": Query[PointQuery]}
    router.get("/empty", response=CheckAnswer)(public(empty))
    api = Api(parser=StrictParser(), urls_namespace="bench")
    api.add_router("", router)
    return api


# Refreshes under load ---------------------------------------------------------------------------


def measure_refreshes(folder: Path, refreshes: int) -> dict[str, float]:
    """Refresh while four processes look points up; every answer must be right and quick."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pipes, children = [], []
    for _ in range(4):
        ours, theirs = context.Pipe()
        child = context.Process(target=_ask_on, args=(theirs, stop))
        child.start()
        pipes.append(ours)
        children.append(child)
    for pipe in pipes:
        pipe.recv()  # it answers now
    reports = [seed_from(draw(folder / f"{n}.geojson", version=n)) for n in range(1, refreshes + 1)]
    same = seed_from(folder / f"{refreshes}.geojson")
    time.sleep(6)  # the last version reaches all of them
    stop.set()
    found = [pipe.recv() for pipe in pipes]
    for child in children:
        child.join()
    longest = max(longest for longest, *_ in found)
    table(
        ("process under refreshes", "answers", "wrong", "errors", "versions seen", "longest, ms"),
        [
            (str(n), f"{asked:,}", wrong, errors, versions, f"{worst * 1000:.1f}")
            for n, (worst, asked, wrong, errors, versions) in enumerate(found, 1)
        ],
    )
    return {
        "refresh_max_ms": longest * 1000,
        "refresh_wrong": float(sum(wrong for _, _, wrong, *_ in found)),
        "refresh_errors": float(sum(errors for _, _, _, errors, _ in found)),
        "refresh_rows_written": max(float(one.rows_written) for one in reports),
        "unchanged_rows_written": float(same.rows_written),
    }


def _ask_on(answer: Any, stop: Any) -> None:
    """Look points in zones up, at a moderate rate, from an index that follows the database."""
    import django

    django.setup()
    from django.db import connections

    from caches.queries.points import Point
    from caches.services import answering, holding

    holding.EVERY_SECONDS = 1.0  # type: ignore[misc]  # so that it follows within the run
    point = Point(lat=28 + STEP / 2, lon=-106 + STEP / 2)
    longest, asked, wrong, errors = 0.0, 0, 0, 0
    versions = set()
    answering.check(point, DAY, None)
    answer.send("ready")
    pause = threading.Event()
    while not stop.is_set():
        begun = time.perf_counter()
        try:
            told = answering.check(point, DAY, None)
            wrong += told.tract != "48000000000"
            versions.add(told.generation)
        except Exception:  # noqa: BLE001 - any is counted
            errors += 1
        longest = max(longest, time.perf_counter() - begun)
        asked += 1
        connections.close_all()
        pause.wait(0.002)
    answer.send((longest, asked, wrong, errors, len(versions)))
    holding.forget()
    disconnect()


# Real zones -------------------------------------------------------------------------------------


@contextmanager
def real_folder() -> Iterator[Path | None]:
    """Yield the folder of real zones beside the checkout, or None."""
    folder = ROOT.parent / "shared" / "data"
    yield folder if (folder / "oz_tracts_exact.geojson.gz").is_file() else None


def measure_real(count: int) -> dict[str, float]:
    """Time memory against the bare tree on the real zones, at real addresses."""
    import csv

    import shapely
    from django.utils import timezone

    from caches.queries.index import look_up
    from caches.queries.points import Point
    from caches.services import holding
    from caches.services.seeding import seed

    with real_folder() as folder:
        if folder is None:
            print("The real zones do not lie in shared/data: not measured.")
            return {}
        seed(location=str(folder), at=timezone.now(), force=True)
        with (folder / "expected_lookups.csv").open(encoding="utf-8") as lines:
            asked = [
                Point(lat=float(row["lat"]), lon=float(row["lon"])) for row in csv.DictReader(lines)
            ]
    holding.look()
    held = holding.current()
    assert held is not None  # noqa: S101 - it was loaded above
    zones_only = shapely.STRtree(held.indexes[0].entries[: len(held.indexes[0].zone_of)])
    turn = iter(asked * (1 + 4 * count // len(asked)))

    def bare() -> object:
        point = next(turn)
        return zones_only.query(shapely.Point(point.lon, point.lat), predicate="intersects")

    def memory() -> object:
        return look_up(held.indexes, next(turn), DAY)

    ours, tree = in_turn([memory, bare], count)
    table(
        ("real zones, real addresses", "mean, µs", "p50, µs", "p99, µs"),
        [("in memory", *_micros(ours)), ("bare STRtree.query", *_micros(tree))],
    )
    return {"real_over_strtree": sum(ours) / sum(tree)}


if __name__ == "__main__":
    main()
