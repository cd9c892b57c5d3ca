"""Tasks: a refresh that was asked for, the care of the zones, and large batches of points."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from celery import shared_task
from celery.signals import worker_ready
from django.db.utils import Error
from django.utils import timezone

from caches.models import Run
from caches.services import holding, jobs, looking_after, runs
from caches.services.asking import LOOK_AFTER, LOOK_UP, REFRESH, NobodyToAsk, hand_over
from common.errors import PolystoreError

logger = logging.getLogger("caches.tasks")


@shared_task(name=REFRESH, acks_late=False)
def refresh_zones(*, run_id: str, **_later_arguments: Any) -> str:
    """Carry a run out; what fails is written down in its row and told to operators."""
    run = runs.find(uuid.UUID(run_id))
    return "gone" if run is None else _carry_out(run)


@shared_task(name=LOOK_AFTER, acks_late=False)
def look_after_zones(**_later_arguments: Any) -> str:
    """Seed when there are no zones, refresh before they expire, tell what expired, tidy up."""
    at = timezone.now()
    run = looking_after.due(at=at)
    done = _carry_out(run) if run is not None else "nothing due"
    looking_after.prune(at=at)
    for job_id in jobs.unfinished():
        jobs.carry_out(job_id)
    expired = looking_after.tell(at=timezone.now())
    return f"{done}; expired: {', '.join(expired)}" if expired else done


@shared_task(name=LOOK_UP)
def look_points_up(*, job_id: str, **_later_arguments: Any) -> str:
    """Answer a large batch, chunk by chunk."""
    holding.keep()
    return "done" if jobs.carry_out(uuid.UUID(job_id)) else "gone"


@worker_ready.connect(weak=False)
def look_after_zones_at_start(**_: Any) -> None:
    """Do not wait for beat: a new site has no zones."""
    try:
        hand_over(LOOK_AFTER)
    except NobodyToAsk:
        logger.warning("zones.not_looked_after")


def _carry_out(run: Run) -> str:
    try:
        report = runs.carry_out(run, at=timezone.now())
    except (PolystoreError, Error) as error:
        reason = getattr(error, "code", type(error).__name__)
        logger.warning("zones.refresh.failed", extra={"id": str(run.pk), "reason": reason})
        return "failed"
    return "nothing to do" if report is None else str(report.outcome)
