"""Tasks that only the tests' worker knows."""

from __future__ import annotations

import logging
from typing import Any

from celery import Task, shared_task

logger = logging.getLogger("tests.tasks")


@shared_task(name="tests.tried_twice", bind=True, max_retries=1, default_retry_delay=0)
def tried_twice(self: Task[Any, Any], *, person: str) -> str:
    """Fail once, then say what trace is at work, then send another task."""
    logger.info("tests.tried", extra={"attempt": self.request.retries})
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    follows.apply_async(queue=str((self.request.delivery_info or {})["routing_key"]))
    return person


@shared_task(name="tests.follows")
def follows() -> None:
    """Say what trace is at work."""
    logger.info("tests.followed")


@shared_task(name="tests.breaks")
def breaks(*, url: str) -> None:
    """Fail for good."""
    raise ValueError(f"cannot reach {url}")
