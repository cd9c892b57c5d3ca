"""Is this point in an opportunity zone?"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router

from caches.api.caller import allow_addresses
from caches.api.sending import NOT_KEPT, PRIVATE, PUBLIC, as_json, etag_of, not_changed, sent
from caches.queries.answers import Answer, wire
from caches.queries.points import checked_point
from caches.schemas import CheckAnswer, CheckBody, PointQuery
from caches.services import answering, holding
from caches.services.geocoding import telling
from caches.services.geocoding.addresses import address_of
from caches.services.geocoding.answering import geocode
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


@router.post(
    "/check",
    response=CheckAnswer,
    summary="The same, with the point or an address in the body",
)
@public
def check_body(request: HttpRequest, asked: CheckBody) -> HttpResponse:
    """Answer yes, no or unknown; access logs do not keep the point.

    An address is for users who are signed in, and unknown where its point is not known well enough.
    """
    day = asked.as_of or timezone.localdate()
    if asked.address is not None:
        address = address_of(asked.address)
        allow_addresses(request)
        found = geocode(address)
        answer = telling.check(found, day, asked.program)
        body = {**wire(answer), "geocode": telling.wire(found)}
    else:
        # The schema has seen to it that both are there.
        point = checked_point(lat=asked.lat or 0.0, lon=asked.lon or 0.0)
        answer = answering.check(point, day, asked.program)
        body = wire(answer)
    return _with_generation(sent(request, as_json(body), cache=PRIVATE), answer)


def _with_generation(response: HttpResponse, answer: Answer) -> HttpResponse:
    if answer.generation is not None:
        response["X-Zones-Generation"] = str(answer.generation)
    return response
