"""Opportunity zones over HTTP."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router

from caches.queries.lookup import Answer, look_up
from caches.queries.points import checked_point
from caches.queries.status import ZonesStatus, zones_status
from caches.schemas import CheckAnswer, PointBody, PointQuery, StatusAnswer
from common.access import public

router = Router(tags=["opportunity zones"])


@router.get("/check", response=CheckAnswer, summary="Is this point in an opportunity zone?")
@public
def check(request: HttpRequest, asked: Query[PointQuery]) -> Answer:
    """Answer yes, no or unknown, with the tract and the version of the data."""
    return _answer(asked)


@router.post("/check", response=CheckAnswer, summary="The same, with the point in the body")
@public
def check_body(request: HttpRequest, asked: PointBody) -> Answer:
    """Answer yes, no or unknown; access logs do not keep the point."""
    return _answer(asked)


@router.get("/status", response=StatusAnswer, summary="Which zones are loaded, and how fresh")
@public
def status(request: HttpRequest) -> dict[str, object]:
    """Tell the version that answers, its age, its gaps, and whether a run is writing a new one."""
    return _status(zones_status(at=timezone.now()))


def _answer(asked: PointQuery) -> Answer:
    point = checked_point(lat=asked.lat, lon=asked.lon)
    return look_up(point, asked.as_of or timezone.localdate(), asked.program)


def _status(found: ZonesStatus) -> dict[str, object]:
    first = found.versions[0] if found.versions else None
    return {
        "connection": "connected" if found.connected else "disconnected",
        "dataset": first.dataset if first else None,
        "sample": first.sample if first else False,
        "fresh": first.fresh if first else False,
        "complete": first.complete if first else False,
        "feature_count": first.feature_count if first else 0,
        "last_update": first.last_update if first else None,
        "expires_at": first.expires_at if first else None,
        "versions": list(found.versions),
        "seeding": list(found.seeding),
    }
