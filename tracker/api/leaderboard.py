"""The leaderboard over HTTP."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router

from common.access import signed_in, user_id_of
from tracker.queries.leaderboard import Leaderboard, Period, leaderboard
from tracker.schemas import LeaderboardAnswer, LeaderboardQuery

router = Router()


@router.get("", response=LeaderboardAnswer, summary="Who has most points")
@signed_in("tracker")
def get_leaderboard(request: HttpRequest, asked: Query[LeaderboardQuery]) -> Leaderboard:
    """Rank users by all points, by this week's, or the caller's friends; ties share their rank."""
    return leaderboard(
        user_id=user_id_of(request),
        period=Period(asked.period),
        at=timezone.now(),
        cursor=asked.cursor,
        limit=asked.limit,
    )
