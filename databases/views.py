"""Views outside the JSON API."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@never_cache
@require_safe
def liveness(request: HttpRequest) -> JsonResponse:
    """Say that the process serves. Asks no store, so that none can make it restart."""
    return JsonResponse({"status": "ok"})
