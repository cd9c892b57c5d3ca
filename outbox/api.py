"""The outbox's health, for monitors."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router

from common.access import staff
from outbox import health
from outbox.health import SyncReport
from outbox.schemas import Connected, SyncAlertAnswer, SyncFigures, SyncHealth

router = Router(tags=["health"])


@router.get("/sync", response=SyncHealth)
@staff("operations")
def sync_health(request: HttpRequest) -> SyncHealth:
    """Tell how far MongoDB is behind PostgreSQL, and what is wrong; always 200, within a second.

    Lag is critical from 60 s on (a warning from 30), the queue from 10,000 (1,000), failed events
    from 100 (10), p95 of the API over 5 minutes from 1,000 ms (500).
    """
    found = health.report()
    return SyncHealth(
        status=found.status,
        databases={
            found.primary: _connected(up=found.primary_up),
            "mongodb": _connected(up=found.mongodb_up),
        },
        sync=_figures(found),
        alerts=[SyncAlertAnswer.model_validate(alert) for alert in found.alerts],
    )


def _figures(found: SyncReport) -> SyncFigures:
    figures = found.figures
    return SyncFigures(
        queue_size=figures.waiting if figures else None,
        sync_lag_seconds=figures.lag_seconds if figures else None,
        failed_events=figures.failed if figures else None,
    )


def _connected(*, up: bool) -> Connected:
    return "connected" if up else "disconnected"
