"""Sources: found, bounded, and refused with a sentence when they are wrong."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from caches.models import Miss, Program
from caches.services import download, sources
from caches.services.parsing import SourceRefused, read_polygons
from caches.services.preparing import prepare
from caches.services.sample import sample_text
from caches.services.sources import SAMPLE, choose_location, read_source
from tests.caches.drawing import (
    collection,
    many_squares,
    multipolygon,
    polygon,
    square,
    write_folder,
)

ZONE = "08001000100"
BOW_TIE = polygon([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])


def _polygons(zones: Any) -> Any:
    return read_polygons(json.dumps(collection(zones)).encode(), name="a.geojson")


def test_the_source_is_what_was_given_then_the_setting_then_the_folder_beside_then_the_sample(
    tmp_path: Path,
) -> None:
    folder = write_folder(tmp_path / "data", many_squares(1), listed=["08000000000"])
    nothing = tmp_path / "nothing"
    assert choose_location(given="g", configured="c", beside=folder) == "g"
    assert choose_location(given="", configured="c", beside=folder) == "c"
    assert choose_location(given="", configured="", beside=folder) == str(folder)
    assert choose_location(given="", configured="", beside=nothing) == str(SAMPLE)


def test_the_sample_that_ships_is_what_its_recipe_makes() -> None:
    assert SAMPLE.read_text() == sample_text()


def test_a_file_is_read_plain_and_packed_and_brings_the_list_beside_it(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "d", many_squares(2), listed=["08000000000", "08000000001"])
    plain = folder / "oz_tracts.geojson"
    packed = folder / "packed.geojson.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    one, other = read_source(str(plain)), read_source(str(packed))
    assert one.sha256 == other.sha256
    assert one.designated is not None


def test_several_files_are_named_with_commas(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "d", many_squares(1), listed=["08000000000"], points={})
    names = ("oz_tracts.geojson", "oz_designated.csv", "tract_internal_points.csv")
    for number, name in enumerate(names):
        apart = tmp_path / str(number)
        apart.mkdir()
        (folder / name).rename(apart / name)
    location = ",".join(str(tmp_path / str(n) / name) for n, name in enumerate(names))
    source = read_source(location)
    assert source.polygons
    assert source.designated
    assert source.points


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "neither GeoJSON nor a CSV"),
        (b"hello", "neither GeoJSON nor a CSV"),
        (b"\x1f\x8bnonsense", "no whole gzip file"),
        (gzip.compress(b'{"type": "FeatureCollection"}' * 99)[:-9], "no whole gzip file"),
        (b'{"type": "FeatureCollection", "features": [', "cut short"),
        (b'{"type": "Feature"}', "no GeoJSON FeatureCollection"),
        (b'{"type": "FeatureCollection", "features": []}', "holds no zones"),
        (b'{"type": "FeatureCollection", "features": [1]}', "no GeoJSON feature"),
        (b"geoid,state,county\n123,A,B\n", "'123' is no census tract id"),
        (b"geoid,state,county\n99001000100,A,B\n", "is no census tract id"),
        (b"geoid,state,county\n08001000100,A,B\n08001000100,A,B\n", "line 3.*occurs twice"),
        (b"geoid,state\n08001000100,A\n", "lacks the column"),
        (b"geoid,state,county\n08001000100\n", "cut short"),
        (b"geoid,state,county\n\xff\xfe", "not UTF-8"),
    ],
)
def test_a_wrong_source_is_refused_with_a_sentence(
    tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "source"
    path.write_bytes(content)
    with pytest.raises(SourceRefused, match=says):
        prepare(read_source(str(path)), program=Program.OZ2)


@pytest.mark.parametrize(
    ("geometry", "says"),
    [
        (polygon([[0, 0], [1, 0]]), "cannot be read"),
        ({"type": "Polygon", "coordinates": "x"}, "cannot be read"),
        ({"type": "Nothing"}, "cannot be read"),
        (polygon(square(500_000.0, 4_000_000.0, 10)), "not degrees"),
        (polygon(square(float("nan"), 39, 1)), "not degrees|cannot be read"),
    ],
)
def test_a_geometry_that_is_none_is_refused(geometry: dict[str, Any], says: str) -> None:
    with pytest.raises(SourceRefused, match=says):
        _polygons({ZONE: geometry})


def test_an_invalid_ring_is_mended_and_noted() -> None:
    found = _polygons({ZONE: BOW_TIE})
    border = found.borders[ZONE]
    assert border.is_valid
    assert border.area == pytest.approx(0.5)
    assert "Self-intersection" in found.notes[0]


def test_a_tract_that_occurs_twice_is_taken_once_and_refused_when_the_borders_differ() -> None:
    same, other = polygon(square(-104, 39)), polygon(square(-104, 40))
    assert len(_polygons([(ZONE, same), (ZONE, same)]).borders) == 1
    with pytest.raises(SourceRefused, match="twice with different borders"):
        _polygons([(ZONE, same), (ZONE, other)])


@pytest.mark.parametrize("order", [1, -1])
def test_bedford_city_is_part_of_the_tract_of_its_county(order: int) -> None:
    city, county = ("51515050100", square(-79.5, 37.3)), ("51019050100", square(-79.3, 37.3))
    pairs = [(geoid, polygon(ring)) for geoid, ring in (city, county)][::order]
    found = _polygons(pairs)
    assert list(found.borders) == ["51019050100"]
    assert found.borders["51019050100"].area == pytest.approx(0.08)


def test_a_leading_zero_that_a_spreadsheet_took_is_put_back() -> None:
    document = collection({ZONE: polygon(square(-104, 39))})
    document["features"][0]["properties"]["GEOID10"] = int(ZONE)
    assert ZONE in read_polygons(json.dumps(document).encode(), name="a").borders


def test_polygons_that_the_list_does_not_designate_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "d", many_squares(2), listed=["08000000000"])
    source = read_source(str(folder))
    with pytest.raises(SourceRefused, match="does not designate: 08000000001"):
        prepare(source, program=Program.OZ2)
    assert len(prepare(source, program=Program.OZ2, force=True).zones) == 1


def test_without_the_whole_list_a_miss_is_never_a_no(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(collection(many_squares(3))))
    assert prepare(read_source(str(path)), program=Program.OZ1).miss is Miss.UNKNOWN
    assert prepare(read_source(str(path)), program=Program.OZ2).miss is Miss.NO


def test_the_resolution_is_read_from_the_density_of_the_borders() -> None:
    from shapely.geometry import Point, mapping

    def of(segments: int) -> str:
        circle = Point(-104, 39).buffer(0.1, quad_segs=segments)
        data = json.dumps(collection({ZONE: mapping(circle)})).encode()
        part = sources.Part(name="a.geojson", kept=data)
        source = sources.Source(label="a", polygons=[part])
        return prepare(source, program=Program.OZ2).resolution

    assert of(15) == "500k"
    assert of(90) == "full"


def test_what_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_UNPACKED", 3 * 1024 * 1024)
    bomb = tmp_path / "bomb.geojson.gz"
    bomb.write_bytes(gzip.compress(b" " * (8 * 1024 * 1024)))
    with pytest.raises(SourceRefused, match="unpacks to more than 3 MB"):
        read_source(str(bomb))


def test_multipolygons_and_holes_are_read_as_drawn() -> None:
    found = _polygons(
        {
            ZONE: polygon(square(-104, 39, 0.2), square(-104, 39, 0.1)),
            "08001000200": multipolygon(square(-104, 39, 0.1), square(-103, 39, 0.1)),
        }
    )
    assert found.borders[ZONE].area == pytest.approx(0.16 - 0.04)
    assert found.borders["08001000200"].area == pytest.approx(0.08)


# ── By URL ───────────────────────────────────────────────────────────────────────────────────────


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path.startswith("/away"):
            self.send_response(302)
            self.send_header("Location", "/away")
            self.end_headers()
        elif self.path.startswith("/short"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"{")
        else:
            super().do_GET()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Serve `tmp_path` over HTTP on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_url_is_read_when_private_addresses_are_allowed(site: str, tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text(json.dumps(collection(many_squares(2))))
    source = read_source(f"{site}/a.geojson?token=secret", allow_private=True)
    assert source.polygons is not None
    assert "secret" not in source.label


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://127.0.0.1/a", "private network"),
        ("https://[::1]/a", "private network"),
        ("https://[::ffff:10.0.0.1]/a", "private network"),
        ("https://169.254.169.254/latest", "private network"),
        ("https://localhost/a", "private network"),
        ("http://example.org/a", "Only https"),
        ("file:///etc/passwd", "Only https"),
        ("https:///a", "Only https"),
        ("https://127.0.0.1:port/a", "not known"),
    ],
)
def test_private_addresses_and_other_schemes_are_refused(url: str, says: str) -> None:
    with pytest.raises(SourceRefused, match=says):
        read_source(url)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/none", "answered 404"),
        ("/away", "redirects too often"),
        ("/short", "could not be read|broke off"),
    ],
)
def test_a_site_that_fails_is_told(site: str, path: str, says: str) -> None:
    with pytest.raises(SourceRefused, match=says):
        read_source(f"{site}{path}", allow_private=True)


def test_a_download_ends_at_its_limit(site: str, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b" " * 3_000_000)
    with pytest.raises(SourceRefused, match="sends more than"):
        download.download(f"{site}/big", limit=1_000_000, allow_private=True)


def test_nobody_listening_is_told(site: str) -> None:
    with pytest.raises(SourceRefused, match="could not be read"):
        download.download("http://127.0.0.1:1/a", limit=10, allow_private=True)
