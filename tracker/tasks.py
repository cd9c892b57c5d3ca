"""What beat starts for the tracker."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.utils import timezone

from tracker.services.idempotency import prune_keys


@shared_task(name="tracker.prune_keys", ignore_result=True)
def prune_idempotency_keys(**_later_arguments: Any) -> None:
    """Forget the answers that were given more than a day ago."""
    prune_keys(at=timezone.now())
