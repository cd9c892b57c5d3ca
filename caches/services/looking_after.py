"""What beat does every minute: seed when there is nothing, refresh in time, and tell operators."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Final

from django.db import router

from caches.models import Activation, Program, Run, SourcePage
from caches.queries.status import zones_status
from caches.services import jobs, runs
from caches.services.geocoding import keeping, leases
from caches.services.seeding import SeedingRuns
from databases.alerts import raise_alert

logger = logging.getLogger("caches.looking_after")

REFRESH_AHEAD: Final = dt.timedelta(days=14)
"""How long before their expiry the zones are compared with their source again."""
AGAIN_AFTER: Final = dt.timedelta(hours=1)
"""After a run that failed, the next one is tried; when there are no zones at all, sooner."""
AGAIN_WHEN_EMPTY: Final = dt.timedelta(minutes=5)
PAGES_KEPT: Final = dt.timedelta(days=2)
EXPIRED: Final = "zones.expired"


def due(*, at: dt.datetime) -> Run | None:
    """Return the run that is due now, if any: one that no worker took up, or a new one where zones
    are missing or expire soon.
    """
    runs.release_dead(at=at)
    left = runs.left_lying(at=at)
    if left is not None:
        return left
    origin = _origin(at)
    if origin is None or _failed_just_now(origin, at):
        return None
    try:
        return runs.request(program=Program.OZ1, origin=origin, at=at)
    except SeedingRuns:
        return None


def tell(*, at: dt.datetime) -> list[str]:
    """Raise the alert of each program whose data is past its expiry, and its recovery."""
    expired = []
    for version in zones_status(at=at).versions:
        if not version.fresh:
            expired.append(version.program)
        raise_alert(
            code=EXPIRED,
            severity="warning",
            title=f"The zones of {version.program} "
            + ("are fresh again" if version.fresh else "have expired"),
            detail="They were compared with their source."
            if version.fresh
            else "They answer on, and were not compared with their source for 90 days. Look at "
            "the last runs in the admin, and run `manage.py seed_opportunity_zones`.",
            store=version.program,
            recovered=version.fresh,
        )
    return expired


def prune(*, at: dt.datetime) -> None:
    """Delete old jobs, addresses and pages that are of no use any more, and runs of long ago."""
    jobs.prune(at=at)
    keeping.prune(at=at)
    leases.prune(at=at)
    SourcePage.objects.using(router.db_for_write(SourcePage)).filter(
        fetched_at__lt=at - PAGES_KEPT
    ).delete()
    Run.objects.using(router.db_for_write(Run)).filter(
        slot=None, requested_at__lt=at - dt.timedelta(days=180)
    ).delete()


def _origin(at: dt.datetime) -> Run.Origin | None:
    using = router.db_for_write(Activation)
    pointer = (
        Activation.objects.using(using)
        .select_related("dataset")
        .filter(program=Program.OZ1)
        .first()
    )
    if pointer is None:
        return Run.Origin.START
    expires = pointer.dataset.expires_at
    if expires is None or expires - at < REFRESH_AHEAD:
        return Run.Origin.SCHEDULE
    return None


def _failed_just_now(origin: Run.Origin, at: dt.datetime) -> bool:
    pause = AGAIN_WHEN_EMPTY if origin == Run.Origin.START else AGAIN_AFTER
    last = (
        Run.objects.using(router.db_for_write(Run))
        .filter(program=Program.OZ1, slot=None)
        .order_by("-id")
        .first()
    )
    if last is None or last.state != Run.State.FAILED or last.ended_at is None:
        return False
    # A run whose process died is taken up at once; one that was refused would be refused again.
    return last.error != runs.DIED and at - last.ended_at < pause
