"""How the zones stand, and a refresh of them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Status

from caches.models import Program, Run
from caches.queries.geocoding import geocoding_figures
from caches.queries.status import ZonesStatus, zones_status
from caches.schemas import RefreshBody, RunAnswer, StatusAnswer
from caches.services import asking, holding, runs
from common.access import public, staff

router = Router()


@router.get("/status", response=StatusAnswer, summary="Which zones are loaded, and how fresh")
@public
def status(request: HttpRequest) -> dict[str, object]:
    """Tell the version that answers, its age, its gaps, and whether a run is writing a new one."""
    holding.keep()
    return _status(zones_status(at=timezone.now()))


@router.post("/refresh", response={202: RunAnswer}, summary="Compare the zones with their source")
@staff("zones:write")
def refresh(request: HttpRequest, asked: RefreshBody) -> Any:
    """Start a refresh in the background; the status tells how far it is."""
    program = asked.program or Program.OZ1.value
    run = runs.request(program=program, origin=Run.Origin.API, at=timezone.now(), force=asked.force)
    try:
        asking.hand_over(asking.REFRESH, run_id=str(run.pk))
    except asking.NobodyToAsk:
        runs.fail(run, error="The broker did not take the task.")
        raise
    run.refresh_from_db()
    return Status(202, run)


def _status(found: ZonesStatus) -> dict[str, object]:
    first = found.versions[0] if found.versions else None
    return {
        "connection": "connected" if found.connected else "disconnected",
        "dataset": first.dataset if first else None,
        "sample": first.sample if first else False,
        "fresh": first.fresh if first else False,
        "complete": first.complete if first else False,
        "feature_count": first.feature_count if first else 0,
        "last_update": first.last_update if first else None,
        "expires_at": first.expires_at if first else None,
        "versions": list(found.versions),
        "seeding": list(found.seeding),
        "last_run": found.last_run,
        "workers": [holding.own_state()] if found.workers is None else found.workers,
        "geocoding": geocoding_figures(),
        "workers_scope": "this process" if found.workers is None else "all processes",
    }
