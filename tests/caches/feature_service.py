"""A local server that speaks as ArcGIS feature services do, with their failures."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Fault = Callable[["Service", dict[str, str]], bytes | int | None]
"""Given the question, what is answered instead: a body, a status, or None for the true answer."""


class Service:
    """The features of a layer, and what goes wrong with it."""

    def __init__(self, features: Sequence[dict[str, Any]], *, most: int = 2000) -> None:
        """Serve `features`, at most `most` at once."""
        self.features = [
            feature | {"id": number, "properties": feature["properties"] | {"OBJECTID": number}}
            for number, feature in enumerate(features, start=1)
        ]
        self.most = most
        self.faults: list[Fault] = []
        self.asked: list[dict[str, str]] = []
        self.times: Counter[str] = Counter()
        self.edited = 1_544_745_600_000
        self.url = ""

    @property
    def offsets(self) -> list[int]:
        """The pages that were asked for."""
        return [int(one["resultOffset"]) for one in self.asked if "resultOffset" in one]

    def answer(self, path: str, asked: dict[str, str]) -> bytes | int:
        """Return the body, or a status."""
        self.asked.append(asked)
        for fault in self.faults:
            found = fault(self, asked)
            if found is not None:
                return found
        if path.endswith("/0"):
            return json.dumps(self._about()).encode()
        if asked.get("returnCountOnly") == "true":
            return json.dumps({"count": len(self.features)}).encode()
        return json.dumps(self._page(asked)).encode()

    def _about(self) -> dict[str, Any]:
        names = ("OBJECTID", "GEOID10", "STATE", "COUNTY", "TRACT", "STUSAB", "STATE_NAME")
        return {
            "currentVersion": 11.2,
            "id": 0,
            "name": "Opportunity_Zones",
            "type": "Feature Layer",
            "geometryType": "esriGeometryPolygon",
            "objectIdField": "OBJECTID",
            "maxRecordCount": self.most,
            "editingInfo": {"lastEditDate": self.edited},
            "fields": [{"name": name, "type": "esriFieldTypeString"} for name in names],
        }

    def _page(self, asked: dict[str, str]) -> dict[str, Any]:
        start = int(asked["resultOffset"])
        size = min(int(asked["resultRecordCount"]), self.most)
        found = self.features[start : start + size]
        page: dict[str, Any] = {"type": "FeatureCollection", "features": found}
        if start + size < len(self.features):
            page["properties"] = {"exceededTransferLimit": True}
        return page


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """Run the service in this block and yield the URL of its layer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            found = service.answer(url.path, asked)
            status, body = (found, b"") if isinstance(found, int) else (200, found)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/x/arcgis/rest/services/Zones/FeatureServer/0"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
