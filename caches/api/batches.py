"""Many points at once: up to a thousand in one answer, more as a job."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router

from caches.api.caller import allow_addresses
from caches.api.sending import PRIVATE, as_json, sent
from caches.models import LookupJob
from caches.queries.points import CoordinatesRefused, checked_point
from caches.schemas import (
    ADDRESSES_AT_ONCE,
    AT_ONCE,
    MOST_ADDRESSES,
    BatchAnswer,
    BatchBody,
    BatchPoint,
    JobAnswer,
    JobPage,
    PageQuery,
)
from caches.services import asking, jobs
from caches.services.geocoding import batching
from caches.services.geocoding.addresses import AddressRefused, address_of
from common.access import Access, Kind, Scope, admit, public, signed_in
from common.failures import NotFound
from common.pagination import Cursor, decode_cursor, encode_cursor

router = Router()
_LARGE = Access(kind=Kind.SIGNED_IN, scope=Scope.ZONES_READ)


@router.post(
    "/check/batch",
    response={200: BatchAnswer, 202: JobAnswer},
    summary="Which of these points lie in opportunity zones?",
)
@public
def check_batch(request: HttpRequest, asked: BatchBody) -> HttpResponse:
    """Answer up to 1,000 points at once, in their order, or 100 of which some are addresses.

    More become a job, and addresses are taken, for callers who are signed in: 202 with its id.
    """
    addresses = sum(one.address is not None for one in asked.points)
    large = len(asked.points) > (ADDRESSES_AT_ONCE if addresses else AT_ONCE)
    owner = _owner(request) if large else None
    points = _points(asked.points)
    if addresses > MOST_ADDRESSES:
        raise AddressRefused(f"A batch has at most {MOST_ADDRESSES} addresses.")
    if addresses:
        allow_addresses(request, count=addresses, batch=True)
    day = asked.as_of or timezone.localdate()
    if owner is not None:
        job = jobs.request(points=points, as_of=day, program=asked.program, owner=owner)
        asking.hand_over(asking.LOOK_UP, job_id=str(job.pk))
        job.refresh_from_db()
        return _job_sent(request, job, status=202)
    items = batching.check_mixed(points, day, asked.program)
    return sent(request, as_json({"items": items}), cache=PRIVATE)


@router.get("/check/batch/{job_id}", response=JobAnswer, summary="How far a large batch is")
@signed_in("zones:read")
def batch_state(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Tell how many points of a job are answered. Jobs are kept for a day."""
    return _job_sent(request, _own(request, job_id))


@router.get("/check/batch/{job_id}/items", response=JobPage, summary="The answers of a large batch")
@signed_in("zones:read")
def batch_items(request: HttpRequest, job_id: uuid.UUID, asked: Query[PageQuery]) -> HttpResponse:
    """Return the answers that are there, a thousand a page, in the order of the points."""
    job = _own(request, job_id)
    number = int(decode_cursor(asked.cursor, length=1).key[0]) if asked.cursor else 0
    found = jobs.answers(job, number=number) if 0 <= number < 2**31 else None
    more = found is not None and (number + 1) * jobs.CHUNK < job.total
    page = {
        "items": found or [],
        "next": encode_cursor(Cursor(key=(number + 1,))) if more else None,
        "previous": encode_cursor(Cursor(key=(number - 1,))) if number > 0 else None,
    }
    return sent(request, as_json(page), cache=PRIVATE)


def _points(asked: Sequence[BatchPoint]) -> list[batching.Asked]:
    points: list[batching.Asked] = []
    for number, one in enumerate(asked):
        try:
            if one.address is not None:
                points.append(address_of(one.address))
            else:
                points.append(checked_point(lat=one.lat or 0.0, lon=one.lon or 0.0))
        except (CoordinatesRefused, AddressRefused) as refused:
            raise type(refused)(
                f"points[{number}]: {refused.detail}", index=number, **refused.extensions
            ) from None
    return points


def _owner(request: HttpRequest) -> uuid.UUID:
    """Return the user who asks.

    :raises NotFound: for machines, which own nothing.
    """
    caller = admit(request, _LARGE)
    if caller is None or caller.user is None:
        raise NotFound("Only users have jobs.")
    owner: uuid.UUID = caller.user.pk
    return owner


def _own(request: HttpRequest, job_id: uuid.UUID) -> LookupJob:
    job = jobs.find(job_id, owner=_owner(request))
    if job is None:
        raise NotFound("There is no such job of yours; jobs are kept for a day.")
    return job


def _job_sent(request: HttpRequest, job: LookupJob, *, status: int = 200) -> HttpResponse:
    told = JobAnswer.model_validate({name: getattr(job, name) for name in JobAnswer.model_fields})
    response = sent(request, told.model_dump_json(by_alias=True), cache=PRIVATE)
    response.status_code = status
    if status == 202:
        response["Location"] = f"{request.path}/{job.pk}"
    return response
