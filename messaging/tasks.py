"""What beat starts for messaging. No task carries data: to lose or repeat one is harmless."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from celery import shared_task
from django.utils import timezone

from databases.breaker import AliasUnavailable
from messaging.queries.overview import last_reconciliation
from messaging.services.catching_up import sweep
from messaging.services.freshness import confirm_membership
from messaging.services.reconciling import (
    Scope,
    forget_old_runs,
    reconcile,
)
from messaging.stores.states import created_in

AN_OUTAGE: Final = dt.timedelta(seconds=30)
"""What waited for longer than this did so because a store was away."""
HOUR: Final = dt.timedelta(hours=1)


@shared_task(name="messaging.sweep", acks_late=False, ignore_result=True)
def sweep_messages(**_later_arguments: Any) -> None:
    """Bring each store what the other one took alone; then compare from there on."""
    now = timezone.now()
    try:
        swept = sweep(at=now)
        if swept.oldest is not None and created_in(swept.oldest) < now - AN_OUTAGE:
            reconcile(scope=Scope(since=created_in(swept.oldest) - AN_OUTAGE), at=now)
    except AliasUnavailable:
        return  # the next one finds the same


@shared_task(name="messaging.reconcile", acks_late=False, ignore_result=True)
def reconcile_recent(**_later_arguments: Any) -> None:
    """Compare what was written since an hour before the last comparison; the first time all."""
    now = timezone.now()
    try:
        forget_old_runs(at=now)
        last = last_reconciliation()
        reconcile(scope=Scope(since=last.began_at - HOUR if last else None), at=now)
    except AliasUnavailable:
        return


@shared_task(name="messaging.confirm_membership", acks_late=False, ignore_result=True)
def confirm(**_later_arguments: Any) -> None:
    """Note in MongoDB up to when it knows who belongs to which conversation."""
    try:
        confirm_membership()
    except AliasUnavailable:
        return  # what it knows grows old, as it should
