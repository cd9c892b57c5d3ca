"""A local server that speaks as the geocoders do, each in its own format, with their failures."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.test import override_settings

from caches.services.geocoding import failing, refreshing
from caches.services.geocoding.terms import TERMS
from caches.stores import geocoders as store
from databases.stores import redis
from tests.waiting import eventually

ALL = ("census", "nominatim", "google", "mapbox", "opencage")
HEIGHTS = "4600 Silver Hill Rd, Washington, DC 20233"
"""An address of an office; the formats below are those of its replies."""


@dataclass(frozen=True)
class Sent:
    """What is sent instead of the true answer."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    half: bool = False
    """Breaks off in the middle of what Content-Length promises."""
    drip: bool = False
    """A byte now and then, for ever."""


Fault = Callable[[str, str], Sent | None]
"""Given the provider and the address, what is sent instead; None for the true answer."""


class World:
    """Where addresses lie, what was asked, and what goes wrong."""

    def __init__(self) -> None:
        """Know nothing."""
        self.places: dict[str, tuple[float, float]] = {}
        self.asked: list[tuple[str, str]] = []
        self.files: list[list[list[str]]] = []
        self.ties: set[str] = set()
        self.faults: dict[str, Fault] = {}
        self.open = threading.Event()
        """While it is not set, questions wait."""
        self.open.set()
        self.waiting = 0
        self._lock = threading.Lock()
        self.ended = threading.Event()
        self.agents: set[str] = set()
        self.queries: list[dict[str, str]] = []
        self.url = ""

    def of(self, provider: str) -> list[str]:
        """Return the addresses that a provider was asked for."""
        return [address for name, address in self.asked if name == provider]

    def answer(self, provider: str, address: str) -> Sent:
        """Return what is sent."""
        self.asked.append((provider, address))
        with self._lock:
            self.waiting += 1
        self.open.wait(120)
        with self._lock:
            self.waiting -= 1
        fault = self.faults.get(provider)
        sent = fault(provider, address) if fault else None
        if sent is not None:
            return sent
        body = _FORMATS[provider](self.places.get(address), address in self.ties)
        return Sent(body=json.dumps(body).encode())

    def file(self, rows: list[list[str]]) -> Sent:
        """Return the answer to a file."""
        self.files.append(rows)
        fault = self.faults.get("file")
        sent = fault("file", "") if fault else None
        return sent or Sent(body=self._told(rows))

    def _told(self, rows: list[list[str]]) -> bytes:
        out = io.StringIO()
        writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for number, street, city, state, zip_code in reversed(rows):
            line = f"{street}, {city}, {state} {zip_code}".strip()
            place = self.places.get(line)
            head = [number, f"{street}, {city}, {state}, {zip_code}"]
            if line in self.ties:
                writer.writerow([*head, "Tie"])
            elif place is None:
                writer.writerow([*head, "No_Match"])
            else:
                found = f"{place[1]},{place[0]}"
                writer.writerow([*head, "Match", "Exact", line.upper(), found, "76355984", "L"])
        return out.getvalue().encode()


Point = tuple[float, float] | None


def _census(point: Point, tie: bool) -> Any:
    matches = [] if point is None else [point]
    if tie and point:
        matches.append((point[0] + 0.5, point[1]))
    return {
        "result": {
            "input": {
                "address": {"address": "as it was asked"},
                "benchmark": {"id": "4", "benchmarkName": "Public_AR_Current", "isDefault": True},
            },
            "addressMatches": [
                {
                    "tigerLine": {"side": "L", "tigerLineId": "76355984"},
                    "coordinates": {"x": lon, "y": lat},
                    "addressComponents": {"zip": "20233", "streetName": "SILVER HILL"},
                    "matchedAddress": "4600 SILVER HILL RD, WASHINGTON, DC, 20233",
                }
                for lat, lon in matches
            ],
        }
    }


def _nominatim(point: Point, _tie: bool) -> Any:
    if point is None:
        return []
    return [
        {
            "place_id": 331_000_000,
            "licence": "Data © OpenStreetMap contributors, ODbL 1.0. http://osm.org/copyright",
            "osm_type": "way",
            "osm_id": 34_000_000,
            "lat": str(point[0]),
            "lon": str(point[1]),
            "class": "building",
            "type": "yes",
            "place_rank": 30,
            "importance": 7.5e-05,
            "addresstype": "building",
            "name": "",
            "display_name": "4600, Silver Hill Road, Suitland, Maryland, United States",
            "boundingbox": ["38.84", "38.85", "-76.93", "-76.92"],
        }
    ]


def _google(point: Point, _tie: bool) -> Any:
    if point is None:
        return {"results": [], "status": "ZERO_RESULTS"}
    result = {
        "address_components": [{"long_name": "4600", "short_name": "4600", "types": ["number"]}],
        "formatted_address": "4600 Silver Hill Rd, Suitland, MD 20746, USA",
        "geometry": {
            "location": {"lat": point[0], "lng": point[1]},
            "location_type": "ROOFTOP",
        },
        "place_id": "ChIJ",
        "types": ["street_address"],
    }
    return {"results": [result], "status": "OK"}


def _mapbox(point: Point, _tie: bool) -> Any:
    features = [] if point is None else [
        {
            "id": "address.1",
            "type": "Feature",
            "place_type": ["address"],
            "relevance": 1,
            "properties": {"accuracy": "rooftop"},
            "text": "Silver Hill Road",
            "place_name": "4600 Silver Hill Road, Suitland, Maryland 20746, United States",
            "center": [point[1], point[0]],
            "geometry": {"type": "Point", "coordinates": [point[1], point[0]]},
        }
    ]  # fmt: skip
    return {"type": "FeatureCollection", "query": ["4600"], "features": features}


def _opencage(point: Point, _tie: bool) -> Any:
    results = [] if point is None else [
        {
            "components": {"_type": "building", "house_number": "4600"},
            "confidence": 10,
            "formatted": "4600 Silver Hill Road, Suitland, MD 20746",
            "geometry": {"lat": point[0], "lng": point[1]},
        }
    ]  # fmt: skip
    return {
        "rate": {"limit": 2500, "remaining": 2499, "reset": 1_893_456_000},
        "results": results,
        "status": {"code": 200, "message": "OK"},
        "total_results": len(results),
    }


_FORMATS: dict[str, Callable[[Point, bool], Any]] = {
    "census": _census,
    "nominatim": _nominatim,
    "google": _google,
    "mapbox": _mapbox,
    "opencage": _opencage,
}
_PATHS = {
    "/geocoder/locations/onelineaddress": ("census", "address"),
    "/search": ("nominatim", "q"),
    "/maps/api/geocode/json": ("google", "address"),
    "/geocode/v1/json": ("opencage", "q"),
}


class _Handler(BaseHTTPRequestHandler):
    world: World

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.world.queries.append(query)
        if url.path.startswith("/geocoding/v5/mapbox.places/"):
            address = unquote(url.path.split("/")[4]).removesuffix(".json")
            self._send(self.world.answer("mapbox", address))
        elif url.path in _PATHS:
            provider, name = _PATHS[url.path]
            self._send(self.world.answer(provider, query[name]))
        else:
            self._send(Sent(status=404))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        boundary = self.headers["Content-Type"].partition("boundary=")[2]
        parts = [part.strip("\r\n") for part in body.split(f"--{boundary}")]
        file = next(part for part in parts if "addressFile" in part)
        rows = list(csv.reader(io.StringIO(file.partition("\r\n\r\n")[2])))
        self._send(self.world.file(rows))

    def _send(self, sent: Sent) -> None:
        self.world.agents.add(self.headers["User-Agent"])
        self.send_response(sent.status)
        for name, value in sent.headers:
            self.send_header(name, value)
        if not sent.drip:
            self.send_header("Content-Length", str(len(sent.body) * (2 if sent.half else 1)))
        try:
            self.end_headers()
            self.wfile.write(sent.body)
            while sent.drip and not self.world.ended.wait(0.05):
                self.wfile.write(b" ")
                self.wfile.flush()
        except OSError:
            return

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Say nothing: callers that had enough hang up."""


@contextmanager
def serving(world: World) -> Iterator[str]:
    """Run the server in this block and yield its URL."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"world": world}))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        world.url = f"http://127.0.0.1:{server.server_port}"
        yield world.url
    finally:
        world.open.set()
        world.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def settings_for(url: str, *providers: str, seconds: int = 15) -> dict[str, Any]:
    """Return the settings under which these providers are asked there, as often as one likes."""
    return {
        "GEOCODER_PROVIDERS": list(providers),
        "GEOCODER_URLS": dict.fromkeys(ALL, url),
        "GEOCODER_KEYS": dict.fromkeys(ALL, "a-key-of-the-tests"),
        "GEOCODER_ALLOW_PRIVATE": True,
        "GEOCODER_RATES": dict.fromkeys(ALL, 10_000.0),
        "GEOCODER_SECONDS": seconds,
    }


@contextmanager
def geocoding(*providers: str, seconds: int = 15) -> Iterator[World]:
    """Ask these providers of a world in this block; nothing of other tests is remembered."""
    world = World()
    begin_anew()
    with (
        serving(world) as url,
        override_settings(**settings_for(url, *providers, seconds=seconds)),
    ):
        yield world
        world.open.set()
        eventually(lambda: not refreshing.under_way())
    begin_anew()


def begin_anew() -> None:
    """Forget failures, rests and slots."""
    failing.forget()
    refreshing.forget()
    store._begin_anew()
    with redis.connection() as client:
        for name in TERMS:
            client.delete(store._resting(name), f"{store._PREFIX}:clock:{name}")


def lots(count: int) -> dict[str, tuple[float, float]]:
    """Return addresses and where they lie."""
    return {
        f"{number} Main St, Denver, CO 80202": (round(39.7 + number / 1000, 3), -104.9)
        for number in range(1, count + 1)
    }
