"""The admin's page "Outbox": the queue, its charts, and the switch that pauses delivery."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from databases import admin_log
from databases.placement import alias_of
from outbox import charts, health, queue, upkeep
from outbox.models import DeliveryState, ProjectionState, QueueSample
from outbox.queue import QueueFigures
from outbox.recording import APP

LOOK: Final = "outbox.view_outboxevent"
OPERATE: Final = "outbox.operate_delivery"
URL_NAME: Final = "outbox-overview"
SWITCH_NAME: Final = "outbox-switch"
SINK_HEADERS: Final = ("Sink", "Waiting", "Retrying", "Oldest", "Dead letters", "Drainers")
PROJECTION_HEADERS: Final = ("Projection", "Shape", "Built", "Rebuild")
LONGEST_REASON: Final = 500


def may_look(request: HttpRequest) -> bool:
    """Tell whether this user may see the page."""
    return admin.site.has_permission(request) and request.user.has_perm(LOOK)


def may_operate(request: HttpRequest) -> bool:
    """Tell whether this user may pause and resume delivery."""
    return may_look(request) and request.user.has_perm(OPERATE)


@never_cache
@require_safe
def outbox_page(request: HttpRequest) -> HttpResponse:
    """Show the queue; it changes nothing. With `?switch=1` the switch asks for confirmation.

    :raises PermissionDenied: without the permission to view events.
    """
    if not may_look(request):
        raise PermissionDenied
    now = timezone.now()
    samples = QueueSample.objects.using(alias_of(APP)).filter(minute__gte=now - timedelta(days=1))
    found = health.report()
    context = {
        **admin.site.each_context(request),
        "title": "Outbox",
        "health": found,
        "state": upkeep.state(),
        "may_operate": may_operate(request),
        "asks": may_operate(request) and "switch" in request.GET,
        "sinks": {"headers": SINK_HEADERS, "rows": [_sink(one) for one in queue.figures()]},
        "projections": {"headers": PROJECTION_HEADERS, "rows": _projections()},
        "charts": charts.charts(list(samples), now=now),
        "links": _links(request),
    }
    return render(request, "outbox/admin_page.html", context)


@never_cache
@require_POST
def switch(request: HttpRequest) -> HttpResponse:
    """Pause delivery (`to=paused`) or let it go on (`to=running`), and log who did.

    :raises PermissionDenied: without the permission to operate delivery.
    """
    if not may_operate(request):
        raise PermissionDenied
    reason = request.POST.get("reason", "").replace("\0", "").strip()[:LONGEST_REASON]
    if request.POST.get("to") == "paused":
        name = request.user.get_username()
        changed = upkeep.pause(by=name, reason=reason, at=timezone.now())
        said, deed = "Delivery pauses within a second.", f"Paused delivery. {reason}".strip()
    else:
        changed = upkeep.resume()
        said, deed = "Delivery goes on.", "Let delivery go on."
    if changed:
        _log(request, deed)
        messages.success(request, said)
    else:
        messages.info(request, "Nothing to do: somebody else did it already.")
    return HttpResponseRedirect(reverse(URL_NAME))


def each_entry(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the page's entry in the side bar, for those who may look."""
    if not may_look(request):
        return []
    return [{"title": "Outbox", "icon": "outbox", "link": reverse(URL_NAME)}]


def _log(request: HttpRequest, deed: str) -> None:
    state = upkeep.state()
    entry = admin_log.Deed(
        model=DeliveryState,
        object_id=str(state.pk),
        text="Delivery of events",
        action_flag=CHANGE,
        user_id=request.user.pk,
        message=deed,
    )
    admin_log.write([entry], of=DeliveryState)


def _sink(one: QueueFigures) -> list[str]:
    return [
        one.sink,
        f"{one.waiting:,}" + ("+" if one.waiting >= queue.MOST_COUNTED else ""),
        f"{one.retrying:,}",
        f"{one.oldest_seconds:.1f} s",
        f"{one.dead:,}",
        "?" if one.drainers is None else str(one.drainers),
    ]


def _projections() -> list[list[str]]:
    return [
        [
            state.projection,
            str(state.schema),
            f"{timezone.localtime(state.built_at):%Y-%m-%d %H:%M}" if state.built_at else "–",
            f"{state.copied:,} rows copied" if state.shadow else "–",
        ]
        for state in ProjectionState.objects.using(alias_of(APP)).order_by("projection")
    ]


def _links(request: HttpRequest) -> list[tuple[str, str]]:
    found = [("Waiting events", reverse("admin:outbox_outboxevent_changelist"))]
    if request.user.has_perm("outbox.view_deadletter"):
        found.append(("Dead letters", reverse("admin:outbox_deadletter_changelist")))
    return found
