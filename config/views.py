"""Pages of the site itself: metrics, and what people see when something fails."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.views.decorators.http import require_GET, require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from common.access import guarded, public, staff
from common.metrics import exposition


@require_safe
@guarded
@public
def home(request: HttpRequest) -> HttpResponse:
    """Show where to go. Asks no store."""
    return render(request, "home.html")


@require_safe
def icon(request: HttpRequest) -> HttpResponse:
    """Send browsers that ask for /favicon.ico to the icon."""
    return redirect(static("site/icon.svg"), permanent=True)


@require_GET
@guarded
@staff("operations")
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with everything that is counted, for Prometheus."""
    response = HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST)
    response["Cache-Control"] = "no-store"
    return response
