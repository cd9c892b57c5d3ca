"""The leaderboard as a page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from tracker.queries.leaderboard import Period
from tracker.queries.leaderboard import leaderboard as ranked
from tracker.views.page import page, shown, user_id_of

PERIODS = {Period.ALL: "All time", Period.WEEK: "This week", Period.FRIENDS: "Friends"}


@page
def leaderboard(request: HttpRequest) -> HttpResponse:
    """Show who has most points."""
    wanted = request.GET.get("period", "")
    period = Period(wanted) if wanted in set(Period) else Period.ALL
    board = ranked(
        user_id=user_id_of(request),
        period=period,
        at=timezone.now(),
        cursor=request.GET.get("cursor") or None,
    )
    context = {"board": board, "periods": list(PERIODS.items()), "here": "leaderboard"}
    return shown(request, "tracker/leaderboard.html", context)
