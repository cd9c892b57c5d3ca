"""What beat starts for messaging. No task carries data: to lose or repeat one is harmless."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.utils import timezone

from databases.breaker import AliasUnavailable
from messaging.services.catching_up import sweep
from messaging.services.freshness import confirm_membership


@shared_task(name="messaging.sweep", acks_late=False, ignore_result=True)
def sweep_messages(**_later_arguments: Any) -> None:
    """Bring each store what the other one took alone."""
    try:
        sweep(at=timezone.now())
    except AliasUnavailable:
        return  # the next one finds the same


@shared_task(name="messaging.confirm_membership", acks_late=False, ignore_result=True)
def confirm(**_later_arguments: Any) -> None:
    """Note in MongoDB up to when it knows who belongs to which conversation."""
    try:
        confirm_membership()
    except AliasUnavailable:
        return  # what it knows grows old, as it should
