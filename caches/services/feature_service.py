"""The client of ArcGIS feature services, such as HUD's layer of opportunity zones.

Pages are kept in the database as they come: a run that dies is taken up behind the last one, by
whichever process. What is tried again: silence, answers of 429 and 5xx, answers that are cut short,
and errors that such services send with status 200. Pages get smaller while they fail.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from django.db import router
from django.db.models import QuerySet

from caches.models import SourcePage
from caches.services.download import SourceUnreachable, download
from caches.services.parsing import COUNTY_NAMES, GEOID_NAMES, STATE_NAMES, SourceRefused

PAGE: Final = 500
"""Features that are asked for at once, unless the service allows fewer."""
SMALLEST_PAGE: Final = 25
TRIES: Final = 6
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 20.0
MOST_FEATURES: Final = 100_000
PAGE_BYTES: Final = 64 * 1024 * 1024
_SERVICES: Final = ("FeatureServer", "MapServer")
_TRANSIENT: Final = frozenset({408, 429, 498, 499, 500, 502, 503, 504})
"""Codes in the body of an answer after which the same question may be answered."""

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """All features of a service at one moment."""

    label: str
    key: str
    """What its pages are kept under."""
    packed: Sequence[bytes]
    """GeoJSON collections, deflated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """What a service tells of itself."""

    url: str
    count: int
    page: int
    id_field: str
    fields: str
    edited: str

    @property
    def key(self) -> str:
        said = f"{self.url}|{self.edited}|{self.count}|{self.fields}"
        return hashlib.sha256(said.encode()).hexdigest()


def is_feature_service(location: str) -> bool:
    """Tell whether a URL names a layer of a feature service: …/FeatureServer/0."""
    parts = urlsplit(location).path.rstrip("/").split("/")
    return "://" in location and parts[-1].isdigit() and parts[-2] in _SERVICES


def fetch(url: str, *, allow_private: bool, tell: Tell) -> Pages:
    """Return all features of a layer, beginning behind the pages that are kept of it.

    :param tell: told how many features are there, and of how many, after each page.
    :raises SourceRefused: when it is no such layer, or changes while it is read.
    :raises SourceUnreachable: when a page cannot be had after several tries; those before are kept.
    """
    client = _Client(url.rstrip("/"), allow_private=allow_private)
    layer = client.layer()
    kept = _rows().filter(source=layer.key).order_by("offset")
    offset = _contiguous(kept)
    size = layer.page
    while offset < layer.count:
        tell(offset, layer.count)
        text, count, size = client.page(layer, offset=offset, size=size)
        _rows().create(source=layer.key, offset=offset, count=count, packed=zlib.compress(text, 6))
        offset += count
    tell(offset, layer.count)
    if client.layer().key != layer.key:
        kept.delete()
        raise SourceUnreachable(f"{urlsplit(url).hostname} changed while it was read.")
    packed = [bytes(packed) for packed in kept.values_list("packed", flat=True)]
    _require_each_once(packed, layer)
    parts = urlsplit(url)
    return Pages(label=f"{parts.hostname}{parts.path}"[:200], key=layer.key, packed=packed)


def forget(key: str) -> None:
    """Delete the pages of a service: they are zones now."""
    _rows().filter(source=key).delete()


class _Client:
    def __init__(self, url: str, *, allow_private: bool) -> None:
        self._url = url
        self._allow_private = allow_private

    def layer(self) -> _Layer:
        about = self._json("", {"f": "json"})
        if "polygon" not in str(about.get("geometryType", "")).lower():
            raise SourceRefused(f"{self._host} has no layer of polygons there.")
        counted = self._json(
            "/query", {"where": "1=1", "returnCountOnly": "true", "f": "json"}
        ).get("count")
        if not isinstance(counted, int) or not 0 < counted <= MOST_FEATURES:
            raise SourceRefused(f"{self._host} counts {counted!r} features.")
        known = [str(field.get("name")) for field in about.get("fields") or []]
        id_field = str(about.get("objectIdField") or "OBJECTID")
        wanted = {id_field, *GEOID_NAMES, *STATE_NAMES, *COUNTY_NAMES}
        editing = about.get("editingInfo") or {}
        return _Layer(
            url=self._url,
            count=counted,
            page=max(1, min(PAGE, int(about.get("maxRecordCount") or PAGE))),
            id_field=id_field,
            fields=",".join(name for name in known if name in wanted) or "*",
            edited=str(editing.get("dataLastEditDate") or editing.get("lastEditDate") or ""),
        )

    def page(self, layer: _Layer, *, offset: int, size: int) -> tuple[bytes, int, int]:
        """Return a page's GeoJSON, how many features it has, and the size to go on with."""
        parameters = {
            "where": "1=1",
            "outFields": layer.fields,
            "orderByFields": layer.id_field,
            "resultOffset": str(offset),
            "outSR": "4326",
            "f": "geojson",
        }
        for attempt in range(TRIES):
            try:
                asked = parameters | {"resultRecordCount": str(size)}
                text, page = self._once("/query", asked)
                features = page.get("features")
                if page.get("type") != "FeatureCollection" or not isinstance(features, list):
                    raise SourceUnreachable(f"{self._host} sent no page of features.")
                if not features:
                    raise SourceUnreachable(f"{self._host} ended at {offset} of {layer.count}.")
                return text, len(features), size
            except SourceUnreachable:
                if attempt == TRIES - 1:
                    raise
                size = max(min(SMALLEST_PAGE, size), size // 2)
                self._wait(attempt)
        raise AssertionError("unreachable")

    def _json(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        for attempt in range(TRIES):
            try:
                return self._once(path, parameters)[1]
            except SourceUnreachable:
                if attempt == TRIES - 1:
                    raise
                self._wait(attempt)
        raise AssertionError("unreachable")

    def _once(self, path: str, parameters: Mapping[str, str]) -> tuple[bytes, dict[str, Any]]:
        text, _ = download(
            f"{self._url}{path}?{urlencode(parameters)}",
            limit=PAGE_BYTES,
            allow_private=self._allow_private,
        )
        try:
            found = json.loads(text)
        except ValueError:
            raise SourceUnreachable(f"{self._host} sent no whole JSON.") from None
        if not isinstance(found, dict):
            raise SourceRefused(f"{self._host} is no feature service.")
        self._require_no_error(found.get("error"))
        return text, found

    def _require_no_error(self, error: Any) -> None:
        """Look for errors that are sent with status 200."""
        if error is None:
            return
        code = error.get("code") if isinstance(error, dict) else None
        if code is None or code in _TRANSIENT:
            raise SourceUnreachable(f"{self._host} answered 200 with the error {code}.")
        if code == 400:  # an overloaded server says so, too: "Cannot perform query"
            raise SourceUnreachable(f"{self._host} could not perform the query.")
        raise SourceRefused(f"{self._host} refused with the error {code}.")

    def _wait(self, attempt: int) -> None:
        time.sleep(min(LONGEST_PAUSE, FIRST_PAUSE * 2**attempt) * random.uniform(0.8, 1.2))

    @property
    def _host(self) -> str:
        return str(urlsplit(self._url).hostname)


def _contiguous(kept: QuerySet[SourcePage]) -> int:
    """Return how many features are kept without a gap, and forget pages behind one."""
    offset = 0
    for row in kept.defer("packed"):
        if row.offset != offset:
            kept.filter(offset__gt=offset).delete()
            break
        offset += row.count
    return offset


def _require_each_once(packed: Sequence[bytes], layer: _Layer) -> None:
    """Refuse features that came twice while others were left out."""
    seen: set[object] = set()
    total = 0
    for page in packed:
        for feature in json.loads(zlib.decompress(page))["features"]:
            total += 1
            properties = feature.get("properties") or {}
            seen.add(properties.get(layer.id_field, feature.get("id", total)))
    if total != layer.count or len(seen) != total:
        forget(layer.key)
        raise SourceUnreachable(
            f"{urlsplit(layer.url).hostname} sent {len(seen)} different features of {layer.count}."
        )


def _rows() -> QuerySet[SourcePage]:
    return SourcePage.objects.using(router.db_for_write(SourcePage))
