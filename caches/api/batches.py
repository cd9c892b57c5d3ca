"""Many points at once: up to a thousand in one answer, more as a job."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router

from caches.api.sending import PRIVATE, as_json, sent
from caches.models import LookupJob
from caches.queries.answers import Answer, wire
from caches.queries.points import CoordinatesRefused, Point, checked_point
from caches.schemas import (
    AT_ONCE,
    BatchAnswer,
    BatchBody,
    BatchPoint,
    JobAnswer,
    JobPage,
    PageQuery,
)
from caches.services import answering, asking, jobs
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
    """Answer up to 1,000 points at once, in their order.

    More become a job, for callers who are signed in: 202 with its id.
    """
    owner = _owner(request) if len(asked.points) > AT_ONCE else None
    points = _points(asked.points)
    day = asked.as_of or timezone.localdate()
    if owner is not None:
        job = jobs.request(points=points, as_of=day, program=asked.program, owner=owner)
        asking.hand_over(asking.LOOK_UP, job_id=str(job.pk))
        job.refresh_from_db()
        return _job_sent(request, job, status=202)
    answers = answering.check_many(points, day, asked.program)
    items = [_item(point, answer) for point, answer in zip(points, answers, strict=True)]
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


def _points(asked: Sequence[BatchPoint]) -> list[Point]:
    points = []
    for number, one in enumerate(asked):
        try:
            points.append(checked_point(lat=one.lat, lon=one.lon))
        except CoordinatesRefused as refused:
            raise CoordinatesRefused(
                f"points[{number}]: {refused.detail}", index=number, **refused.extensions
            ) from None
    return points


def _item(point: Point, answer: Answer) -> dict[str, object]:
    return {"lat": point.lat, "lon": point.lon, **wire(answer)}


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
