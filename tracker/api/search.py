"""Finding people over HTTP."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Query, Router

from common.access import signed_in, user_id_of
from common.pagination import KeysetPage
from common.schemas import Page
from tracker.queries.search import search_people
from tracker.schemas import PersonAnswer, SearchQuery
from tracker.stores import Found

router = Router()


@router.get("", response=Page[PersonAnswer], summary="Find people by name")
@signed_in("tracker")
def search(request: HttpRequest, asked: Query[SearchQuery]) -> KeysetPage[Found]:
    """Find active people by the beginnings of the words of their names, never by address."""
    return search_people(
        user_id=user_id_of(request), text=asked.q, cursor=asked.cursor, limit=asked.limit
    )
