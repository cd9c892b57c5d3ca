"""Batches of points that are too large for one answer: kept, worked through, and forgotten."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

from django.db import router, transaction
from django.db.models import QuerySet
from django.utils import timezone

from caches.models import LookupChunk, LookupJob
from caches.queries.points import Point
from caches.services.geocoding.addresses import Address, address_of
from caches.services.geocoding.batching import Asked, check_mixed
from common.errors import PolystoreError

CHUNK: Final = 1000
CHUNK_SECONDS: Final = 600.0
"""What the addresses of a chunk may take; those that nobody could tell by then are unknown."""
KEPT_FOR: Final = dt.timedelta(days=1)
MOST_UNDER_WAY: Final = 5
"""Unfinished jobs of one user."""
State = LookupJob.State


class TooManyJobs(PolystoreError):
    """The caller has several jobs that are not done."""

    code, status, title = "caches.too_many_jobs", 429, "Too many jobs"
    remedy = "Wait until one of your jobs is done."
    retry_after = 10


def request(
    *, points: Sequence[Asked], as_of: dt.date, program: str | None, owner: uuid.UUID
) -> LookupJob:
    """Keep a batch and return its job.

    :raises TooManyJobs: while the owner has several that are not done.
    """
    using = router.db_for_write(LookupJob)
    waiting = _jobs().filter(owner=owner).exclude(state=State.DONE).count()
    if waiting >= MOST_UNDER_WAY:
        raise TooManyJobs(f"{waiting} of your jobs are not done.")
    with transaction.atomic(using=using):
        job = LookupJob.objects.using(using).create(
            owner=owner, program=program or "", as_of=as_of, total=len(points)
        )
        LookupChunk.objects.using(using).bulk_create(
            LookupChunk(
                job=job,
                number=number,
                points=[_written(point) for point in points[start : start + CHUNK]],
            )
            for number, start in enumerate(range(0, len(points), CHUNK))
        )
    return job


def carry_out(job_id: uuid.UUID) -> bool:
    """Answer the chunks of a job that are not answered yet; tell whether the job is there.

    May be called again after its process died, and by two processes at once: both write the same.
    """
    job = _jobs().filter(pk=job_id).first()
    if job is None:
        return False
    _jobs().filter(pk=job_id, state=State.QUEUED).update(state=State.RUNNING)
    chunks = LookupChunk.objects.using(router.db_for_write(LookupChunk)).filter(job=job)
    for pk in chunks.filter(answers__isnull=True).order_by("number").values_list("pk", flat=True):
        chunk = chunks.get(pk=pk)
        if chunk.answers is not None:
            continue
        answers = check_mixed(
            [_read(one) for one in chunk.points],
            job.as_of,
            job.program or None,
            deadline=time.monotonic() + CHUNK_SECONDS,
        )
        # Addresses are not kept for longer than they are needed.
        chunks.filter(pk=pk, answers__isnull=True).update(answers=answers, points=[])
        done = chunks.filter(answers__isnull=False).count() * CHUNK
        _jobs().filter(pk=job_id).update(done=min(done, job.total))
    _jobs().filter(pk=job_id).exclude(state=State.DONE).update(
        state=State.DONE, done=job.total, ended_at=timezone.now()
    )
    return True


def find(job_id: uuid.UUID, *, owner: uuid.UUID) -> LookupJob | None:
    """Return a job of its owner; None for others."""
    return _jobs().filter(pk=job_id, owner=owner).first()


def answers(job: LookupJob, *, number: int) -> list[Any] | None:
    """Return the answers of a chunk; None while they are not there, or where there is no such."""
    chunk = LookupChunk.objects.using(router.db_for_write(LookupChunk)).filter(
        job=job, number=number
    )
    found: list[Any] | None = chunk.values_list("answers", flat=True).first()
    return found


def unfinished() -> list[uuid.UUID]:
    """Return the jobs that are not done."""
    return list(_jobs().exclude(state=State.DONE).values_list("pk", flat=True))


def prune(*, at: dt.datetime) -> int:
    """Delete jobs after a day, with their points, and return how many rows went."""
    deleted, _ = _jobs().filter(created_at__lt=at - KEPT_FOR).delete()
    return deleted


def _written(one: Asked) -> object:
    return one.text if isinstance(one, Address) else [one.lat, one.lon]


def _read(one: Any) -> Asked:
    return address_of(one) if isinstance(one, str) else Point(lat=one[0], lon=one[1])


def _jobs() -> QuerySet[LookupJob]:
    return LookupJob.objects.using(router.db_for_write(LookupJob))
