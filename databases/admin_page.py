"""The admin's page "Databases": every store as all processes see it, for operators."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from databases import health, overview, process_state, reasons
from databases.health import HealthReport
from databases.overview import StoreView
from databases.process_state import ProcessState
from databases.read_totals import NO_REPLICA

PERMISSION = "databases.view_placement"
URL_NAME = "databases-overview"
STORE_HEADERS = (
    "Store",
    "Answers",
    "Breaker",
    "Connections",
    "Lag",
    "Reads on replicas",
    "Why not",
)
PROCESS_HEADERS = ("Process", "Host", "Region", "Open breakers", "Crossings", "Fallbacks", "Seen")


def may_look(request: HttpRequest) -> bool:
    """Tell whether this user may see the page."""
    return admin.site.has_permission(request) and request.user.has_perm(PERMISSION)


@never_cache
@require_safe
def databases_page(request: HttpRequest) -> HttpResponse:
    """Show a table of the stores and one of the processes; it changes nothing.

    :raises PermissionDenied: without the permission to view placement.
    """
    if not may_look(request):
        raise PermissionDenied
    found = health.report()
    processes = process_state.all_processes()
    views = overview.by_store(processes)
    context = {
        **admin.site.each_context(request),
        "title": "Databases",
        "scope": processes.scope,
        "probed_at": found.at,
        "stores": {
            "headers": STORE_HEADERS,
            "rows": [_store(view, found) for view in views.values() if view.store in found.stores],
        },
        "processes": {
            "headers": PROCESS_HEADERS,
            "rows": [_process(state) for state in processes.states],
        },
        "placement_url": reverse("admin:databases_placement_changelist"),
    }
    return render(request, "databases/admin_page.html", context)


def _store(view: StoreView, found: HealthReport) -> list[str]:
    probed = found.stores[view.store]
    return [
        view.store,
        f"yes, in {probed.milliseconds:.0f} ms" if probed.up else f"no: {_kind(view, probed)}",
        _breaker(view),
        _connections(view),
        _lag(view),
        _share(view),
        _why_not(view),
    ]


def _kind(view: StoreView, probed: health.StoreHealth) -> str:
    if view.lag is not None and view.lag.reasons:
        return ", ".join(view.lag.reasons)
    return reasons.kind_of(probed.reason)


def _breaker(view: StoreView) -> str:
    breaker = view.breaker
    if not breaker.known:
        return "not used yet"
    counted = f"{_times(breaker.opened)} opened, {breaker.refused:,} turned away"
    if not breaker.open:
        return f"closed; {counted}" if breaker.opened else "closed"
    return f"{breaker}: {', '.join(breaker.reasons)}, since {_clock(breaker.since)}; {counted}"


def _connections(view: StoreView) -> str:
    if not view.pool.processes:
        return "–"
    waiting = f", {view.pool.waiting} waiting" if view.pool.waiting else ""
    return f"{view.pool.used} used, {view.pool.idle} idle of {view.pool.most}{waiting}"


def _lag(view: StoreView) -> str:
    if view.lag is None:
        return "–"
    return f"{view.lag.lag_bytes:,} bytes, {view.lag.lag_seconds:.1f} s"


def _share(view: StoreView) -> str:
    if view.reads is None or view.reads.share is None:
        return "–"
    if set(view.reads.reasons) == {NO_REPLICA} and not view.reads.on_replicas:
        return f"no replica; {view.reads.total:,} reads"
    return f"{view.reads.share:.1%} of {view.reads.total:,}"


def _why_not(view: StoreView) -> str:
    if view.reads is None:
        return "–"
    counted = view.reads.reasons.items()
    return _listed(f"{why}: {count:,}" for why, count in counted if why != NO_REPLICA)


def _process(state: ProcessState) -> list[str]:
    opened = [store for store, breaker in state.breakers.items() if breaker.open]
    return [
        f"{state.role} {state.pid}",
        state.host,
        state.region or "–",
        _listed(opened),
        _listed(f"{code.partition('.')[2]}: {count}" for code, count in state.crossings.items()),
        _listed(f"{name}: {count}" for name, count in state.fallbacks.items()),
        f"{max(0.0, time.time() - state.at):.0f} s ago",
    ]


def _listed(found: Iterable[str]) -> str:
    return ", ".join(found) or "–"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _clock(moment: str) -> str:
    return f"{timezone.localtime(datetime.fromisoformat(moment)):%H:%M:%S}"


def each_entry(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the page's entry in the side bar, for those who may look."""
    if not may_look(request):
        return []
    return [{"title": "Databases", "icon": "monitor_heart", "link": reverse(URL_NAME)}]
