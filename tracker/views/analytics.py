"""Analytics as a page."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import available_timezones

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dateparse import parse_date

from common.errors import PolystoreError
from tracker.queries.analytics import analytics as counted
from tracker.queries.analytics import usual_first
from tracker.views.charts import bars
from tracker.views.page import page, shown, user_id_of


@page
def analytics(request: HttpRequest) -> HttpResponse:
    """Show what the user did, day by day."""
    last = _day(request.GET.get("to")) or timezone.localdate()
    first = _day(request.GET.get("from")) or usual_first(last)
    zone = request.GET.get("timezone") or timezone.get_default_timezone_name()
    context: dict[str, Any] = {
        "first": first,
        "last": last,
        "zone": zone,
        "zones": sorted(name for name in available_timezones() if "/" in name or name == "UTC"),
        "here": "analytics",
    }
    try:
        found = counted(
            user_id=user_id_of(request), first=first, last=last, timezone=zone, at=timezone.now()
        )
    except PolystoreError as error:
        if error.status >= 500:
            raise
        context["refused"] = f"{error.detail} {error.remedy}"
        return shown(request, "tracker/analytics.html", context, status=error.status)
    context["found"] = found
    context["charts"] = [
        bars("Todos completed", "todos", [(day.day, day.todos_completed) for day in found.days]),
        bars("Points", "points", [(day.day, day.points) for day in found.days]),
        bars("Hours tracked", "h", [(day.day, round(day.hours_tracked, 2)) for day in found.days]),
        bars("Hours reported", "h", [(day.day, day.hours_reported) for day in found.days]),
        bars("Mood", "of 5", [(day.day, day.mood) for day in found.days], top=5),
    ]
    return shown(request, "tracker/analytics.html", context)


def _day(text: str | None) -> dt.date | None:
    try:
        return parse_date(text or "")
    except ValueError:
        return None
