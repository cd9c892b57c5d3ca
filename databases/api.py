"""The health endpoints."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any, Literal

from django.db import connections
from django.http import HttpRequest
from ninja import Router, Status

from common.access import identify, public, staff
from databases import health, overview, pool_figures, process_state
from databases.health import HealthReport
from databases.overview import StoreView
from databases.process_state import ProcessState
from databases.schemas import (
    ConnectionFigures,
    DatabasesHealth,
    PoolDetail,
    ProcessDetail,
    ReadsDetail,
    SiteDatabases,
    SiteHealth,
    StoreDetail,
)
from databases.stores import mongo

router = Router(tags=["health"])

MESSAGES = {
    "healthy": "All databases answer.",
    "no mongodb": "MongoDB does not answer; PostgreSQL serves.",
    "no postgresql": "PostgreSQL does not answer; MongoDB serves direct messages.",
    "unhealthy": "Neither PostgreSQL nor MongoDB answers.",
}


@router.get("/health", response={200: SiteHealth, 503: SiteHealth})
@public
def site_health(request: HttpRequest) -> Any:
    """Tell whether the site serves; 503 only when neither PostgreSQL nor MongoDB answers."""
    found = health.report()
    postgresql, mongodb = found.up("default"), found.up(mongo.STORE)
    status: Literal["healthy", "degraded", "unhealthy"]
    if postgresql and mongodb:
        status, message = "healthy", MESSAGES["healthy"]
    elif postgresql or mongodb:
        status = "degraded"
        message = MESSAGES["no mongodb" if postgresql else "no postgresql"]
    else:
        status, message = "unhealthy", MESSAGES["unhealthy"]
    databases = SiteDatabases(mongodb=mongodb, postgresql=postgresql, timestamp=found.at)
    told: dict[str, Any] = {"status": status, "databases": databases, "message": message}
    answer = SiteHealth.model_validate(told | health.parts())
    return Status(503 if status == "unhealthy" else 200, answer)


@router.get("/health/databases", response=DatabasesHealth, exclude_unset=True)
@public
def databases_health(request: HttpRequest, *, verbose: bool = False) -> Any:
    """Tell which databases answer; always 200. Staff get detail with `?verbose=1`.

    The detail speaks for all processes, or for the answering one alone while Redis is away (see
    `scope`).
    """
    found = health.report()
    answer: dict[str, Any] = {
        "read_replica" if key == "readReplica" else key: up for key, up in found.by_key().items()
    }
    if verbose and _is_staff(request):
        processes = process_state.all_processes()
        views = overview.by_store(processes)
        answer["scope"] = processes.scope
        answer["processes"] = [_process(state) for state in processes.states]
        answer["detail"] = {store: _detail(views[store], found) for store in found.stores}
    return DatabasesHealth.model_validate(answer)


@router.get("/health/connections", response=dict[str, ConnectionFigures])
@staff("operations")
def connections_health(
    request: HttpRequest, scope: Literal["process", "server"] = "process"
) -> dict[str, ConnectionFigures]:
    """Return the connections of this process's pools, or with `?scope=server` of the servers."""
    if scope == "server":
        figures = pool_figures.of_the_servers()
    else:
        figures = pool_figures.of_this_process()
    return {
        key: ConnectionFigures(
            total_connections=found.total,
            idle_connections=found.idle,
            waiting_connections=found.waiting,
        )
        for key, found in figures.items()
    }


def _is_staff(request: HttpRequest) -> bool:
    try:
        caller = identify(request)
    except Exception:  # noqa: BLE001 - sign-in needs a database, health must answer without
        return False
    return caller is not None and caller.is_staff


def _process(state: ProcessState) -> ProcessDetail:
    return ProcessDetail(
        role=state.role,
        host=state.host,
        pid=state.pid,
        region=state.region,
        seconds_old=round(max(0.0, time.time() - state.at), 1),
    )


def _detail(view: StoreView, found: HealthReport) -> StoreDetail:
    probed = found.stores[view.store]
    settings = connections.settings.get(view.store, {}).get("POLYSTORE", {})
    breaker, lag = view.breaker, view.lag
    return StoreDetail(
        up=probed.up,
        milliseconds=round(probed.milliseconds, 1),
        reason=probed.reason,
        served_by=view.store,
        region=settings.get("region", ""),
        breaker="open" if breaker.open else "closed",
        breaker_open_in=breaker.open,
        breaker_known_to=breaker.known,
        breaker_since=datetime.fromisoformat(breaker.since) if breaker.since else None,
        breaker_reason=", ".join(breaker.reasons),
        breaker_opened=breaker.opened,
        breaker_refused=breaker.refused,
        pool=_pool(view) if view.pool.processes else None,
        lag_bytes=lag.lag_bytes if lag is not None else None,
        lag_seconds=lag.lag_seconds if lag is not None else None,
        usable_in=lag.usable if lag is not None else None,
        not_usable_because=", ".join(lag.reasons) if lag is not None else None,
        reads=_reads(view),
    )


def _pool(view: StoreView) -> PoolDetail:
    return PoolDetail(
        processes=view.pool.processes,
        total=view.pool.total,
        idle=view.pool.idle,
        waiting=view.pool.waiting,
        most=view.pool.most,
    )


def _reads(view: StoreView) -> ReadsDetail | None:
    if view.reads is None:
        return None
    return ReadsDetail(
        total=view.reads.total,
        on_replicas=view.reads.on_replicas,
        share_on_replicas=view.reads.share,
        reasons=dict(view.reads.reasons),
    )
