"""The page with the map of the zones."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from caches.queries.states import STATES
from common.access import guarded, public


@require_safe
@guarded
@public
def zones_map(request: HttpRequest) -> HttpResponse:
    """Show the map. Asks no store; the page asks the API."""
    labels = [
        {
            "name": state.name,
            "lat": round((state.south + state.north) / 2, 2),
            "lon": round((state.west + state.east) / 2, 2),
        }
        for state in STATES.values()
    ]
    return render(
        request, "caches/map.html", {"labels": labels, "today": timezone.localdate().isoformat()}
    )
