"""Opportunity zones over HTTP: questions about points, zones for maps, and the care of the data."""

from __future__ import annotations

from ninja import Router

from caches.api import batches, operations, points, zones

router = Router(tags=["opportunity zones"])
for _part in (points.router, batches.router, zones.router, operations.router):
    router.add_router("", _part)
