"""Answers as caches and slow lines like them: ETag, Cache-Control, gzip."""

from __future__ import annotations

import gzip
import hashlib
import json
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from databases import causality

PUBLIC: Final = "public, max-age=300, stale-while-revalidate=86400"
WHILE_DEGRADED: Final = "public, max-age=15"
NOT_KEPT: Final = "no-store"
PRIVATE: Final = "private, no-store"
"""For what the caller sent in a body: points may be somebody's address."""
SMALLEST_PACKED: Final = 1024
_PACKED: Final = '-gzip"'
"""The end of the ETag of a packed answer, which is another one to caches."""


def not_changed(request: HttpRequest, etag: str) -> HttpResponse | None:
    """Return 304 where the caller has this answer already."""
    asked = request.headers.get("If-None-Match", "")
    known = {one.strip().removeprefix("W/").replace(_PACKED, '"') for one in asked.split(",")}
    if not asked or (etag not in known and "*" not in known):
        return None
    response = HttpResponse(status=304)
    del response["Content-Type"]
    return _headed(response, etag=etag, cache=PUBLIC)


def etag_of(*parts: object) -> str:
    """Return a strong ETag for what these parts decide."""
    said = json.dumps(parts, default=str)
    return f'"{hashlib.blake2b(said.encode(), digest_size=12).hexdigest()}"'


def sent(
    request: HttpRequest,
    body: str,
    *,
    cache: str,
    etag: str = "",
    content_type: str = "application/json; charset=utf-8",
) -> HttpResponse:
    """Return an answer; packed where it is large and the caller takes that."""
    data = body.encode()
    packed = len(data) > SMALLEST_PACKED and _takes_gzip(request)
    if packed:
        data = gzip.compress(data, 5, mtime=0)
        etag = f"{etag[:-1]}{_PACKED}" if etag else ""
    response = HttpResponse(data, content_type=content_type)
    if packed:
        response["Content-Encoding"] = "gzip"
    if len(body) > SMALLEST_PACKED:
        patch_vary_headers(response, ["Accept-Encoding"])
    return _headed(response, etag=etag, cache=cache)


def as_json(value: Any) -> str:
    """Return JSON without blanks."""
    return json.dumps(value, separators=(",", ":"))


def _headed(response: HttpResponse, *, etag: str, cache: str) -> HttpResponse:
    state = causality.current()
    degraded = state is not None and bool(state.degraded)
    response["Cache-Control"] = WHILE_DEGRADED if degraded and cache == PUBLIC else cache
    if etag:
        response["ETag"] = etag
    return response


def _takes_gzip(request: HttpRequest) -> bool:
    offered = request.headers.get("Accept-Encoding", "").replace(" ", "").lower().split(",")
    return any(one == "gzip" or (one.startswith("gzip;") and one != "gzip;q=0") for one in offered)
