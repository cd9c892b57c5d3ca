"""Is this point in an opportunity zone?"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router

from caches.api.sending import NOT_KEPT, PRIVATE, PUBLIC, as_json, etag_of, not_changed, sent
from caches.queries.answers import Answer, wire
from caches.queries.points import checked_point
from caches.schemas import CheckAnswer, PointBody, PointQuery
from caches.services import answering, holding
from common.access import public

router = Router()


@router.get("/check", response=CheckAnswer, summary="Is this point in an opportunity zone?")
@public
def check(request: HttpRequest, asked: Query[PointQuery]) -> HttpResponse:
    """Answer yes, no or unknown, with the tract and the version of the data."""
    point = checked_point(lat=asked.lat, lon=asked.lon)
    day = asked.as_of or timezone.localdate()
    held = answering.ready()
    etag = etag_of(held.tag, point.lat, point.lon, day, asked.program) if held else ""
    if held is not None:
        same = not_changed(request, etag)
        if same is not None:
            return same
    answer = answering.check(point, day, asked.program)
    # An answer that is no longer of the index that the ETag names must not be kept under it.
    kept = answer.dataset is not None and held is holding.current()
    response = sent(
        request,
        as_json(wire(answer)),
        cache=PUBLIC if answer.dataset else NOT_KEPT,
        etag=etag if kept else "",
    )
    return _with_generation(response, answer)


@router.post("/check", response=CheckAnswer, summary="The same, with the point in the body")
@public
def check_body(request: HttpRequest, asked: PointBody) -> HttpResponse:
    """Answer yes, no or unknown; access logs do not keep the point."""
    point = checked_point(lat=asked.lat, lon=asked.lon)
    answer = answering.check(point, asked.as_of or timezone.localdate(), asked.program)
    return _with_generation(sent(request, as_json(wire(answer)), cache=PRIVATE), answer)


def _with_generation(response: HttpResponse, answer: Answer) -> HttpResponse:
    if answer.generation is not None:
        response["X-Zones-Generation"] = str(answer.generation)
    return response
