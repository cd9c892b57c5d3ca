"""Who has most points: of all, of this week, among friends. Ties share their rank.

The caller's own points always come from PostgreSQL, everybody else's from MongoDB: nobody sees
their own points late, and a page costs MongoDB two index scans. While MongoDB is away PostgreSQL
gives the same answer.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol
from uuid import UUID

from django.db.models import Q, QuerySet, Sum

from accounts.queries import NOBODY, people
from common.pagination import Cursor, CursorInvalid, decode_cursor, encode_cursor
from databases.fallback import mongodb_or
from tracker.models import PointsDay, Standing
from tracker.queries.own import friend_ids
from tracker.querysets import week_of
from tracker.stores import MongoBoard, Scored, points_of

MOST: Final = 100


class Period(StrEnum):
    """Whose points, and of when."""

    ALL = "all"
    WEEK = "week"
    FRIENDS = "friends"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One line of the leaderboard."""

    rank: int | None
    """1 plus how many have more points; None without any points."""
    user_id: UUID
    name: str
    points: int
    is_me: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaderboard:
    """One page of it, and the caller's own place."""

    items: list[Place]
    next: str | None
    previous: str | None
    me: Place
    period: Period
    week_start: dt.date | None


class Board(Protocol):
    """Everybody but the caller, by points; MongoDB's and PostgreSQL's give the same."""

    def rows(
        self, *, beyond: tuple[int, UUID] | None, backwards: bool, limit: int, without: UUID
    ) -> list[Scored]:
        """Return users beyond a place, in the order of the list or backwards."""

    def above(self, points: int, *, without: UUID) -> int:
        """Count the users with more points."""

    def tied_before(self, points: int, key: UUID, *, without: UUID) -> int:
        """Count the users with as many points that stand before this id."""


def leaderboard(
    *,
    user_id: UUID,
    period: Period,
    at: dt.datetime,
    cursor: str | None = None,
    limit: int = 20,
) -> Leaderboard:
    """Return a page of the leaderboard as this user sees it.

    Of all and of the week, users without points are not listed; among friends everybody is.

    :param at: now; weeks begin on Monday, in UTC.
    :raises CursorInvalid: 422.
    """
    limit = min(max(limit, 1), MOST)
    start = _place(cursor) if cursor else None
    week = week_of(at.astimezone(dt.UTC).date()) if period is Period.WEEK else None
    mine = _own(user_id, week)
    listed = mine.points > 0 or period is Period.FRIENDS
    if period is Period.FRIENDS:
        ids = friend_ids(user_id=user_id)
        board: Board = ListedBoard(
            mongodb_or(lambda: points_of(ids), lambda: _points_in_postgres(ids))
        )
        return _page(board, mine, start, limit, period=period, week=week, listed=listed)
    return mongodb_or(
        lambda: _page(
            MongoBoard(week=week), mine, start, limit, period=period, week=week, listed=listed
        ),
        lambda: _page(
            PostgresBoard(week=week), mine, start, limit, period=period, week=week, listed=listed
        ),
    )


class ListedBoard:
    """A few users that are known already: friends."""

    def __init__(self, users: Sequence[Scored]) -> None:
        """Sort them."""
        self._users = sorted(users, key=_order)

    def rows(
        self, *, beyond: tuple[int, UUID] | None, backwards: bool, limit: int, without: UUID
    ) -> list[Scored]:
        """Return users beyond a place, in the order of the list or backwards."""
        users = list(reversed(self._users)) if backwards else self._users
        return [user for user in users if _is_beyond(user, beyond, backwards=backwards)][:limit]

    def above(self, points: int, *, without: UUID) -> int:
        """Count the users with more points."""
        return sum(user.points > points for user in self._users)

    def tied_before(self, points: int, key: UUID, *, without: UUID) -> int:
        """Count the users with as many points that stand before this id."""
        return sum(user.points == points and user.id < key for user in self._users)


class PostgresBoard:
    """The leaderboard in PostgreSQL: one index for all points, an aggregate for a week's."""

    def __init__(self, *, week: dt.date | None) -> None:
        """Rank by all points, or by those of the week that began with the Monday `week`."""
        self._rows: QuerySet[Any, Any]
        if week is None:
            self._rows = Standing.objects.filter(user__is_active=True).values("user_id")
            self._field = "total_points"
            return
        self._field = "earned"
        self._rows = (
            PointsDay.objects.in_week_of(week)
            .filter(user__is_active=True)
            .order_by()
            .values("user_id")
            .annotate(earned=Sum("points"))
        )

    def rows(
        self, *, beyond: tuple[int, UUID] | None, backwards: bool, limit: int, without: UUID
    ) -> list[Scored]:
        """Return users beyond a place, in the order of the list or backwards."""
        field, side = self._field, "gt" if backwards else "lt"
        rows = self._rows.filter(**{f"{field}__gt": 0}).exclude(user_id=without)
        if beyond is not None:
            points, key = beyond
            rows = rows.filter(**{f"{field}__{side}e": points}).filter(
                Q(**{f"{field}__{side}": points})
                | Q(**{"user_id__lt" if backwards else "user_id__gt": key})
            )
        order = (field, "-user_id") if backwards else (f"-{field}", "user_id")
        found = list(rows.order_by(*order).values_list(field, "user_id")[:limit])
        known = people(ids=[key for _, key in found])
        return [
            Scored(points, key, known[key].name if key in known else NOBODY)
            for points, key in found
        ]

    def above(self, points: int, *, without: UUID) -> int:
        """Count the users with more points."""
        return int(self._without(without).filter(**{f"{self._field}__gt": points}).count())

    def tied_before(self, points: int, key: UUID, *, without: UUID) -> int:
        """Count the users with as many points that stand before this id."""
        tied = {self._field: points, "user_id__lt": key}
        return int(self._without(without).filter(**tied).count())

    def _without(self, user_id: UUID) -> QuerySet[Any, Any]:
        return self._rows.exclude(user_id=user_id)


def _own(user_id: UUID, week: dt.date | None) -> Scored:
    """Return the caller's points, from PostgreSQL."""
    if week is None:
        rows = Standing.objects.of(user_id).values_list("total_points", flat=True)
        points = rows.first() or 0
    else:
        days = PointsDay.objects.in_week_of(week).filter(user_id=user_id)
        points = days.aggregate(earned=Sum("points"))["earned"] or 0
    known = people(ids=[user_id]).get(user_id)
    return Scored(points, user_id, known.name if known else NOBODY)


def _points_in_postgres(ids: set[UUID]) -> list[Scored]:
    totals = dict(Standing.objects.filter(user_id__in=ids).values_list("user_id", "total_points"))
    return [
        Scored(totals.get(person.id, 0), person.id, person.name)
        for person in people(ids=ids).values()
        if person.is_active
    ]


def _page(
    board: Board,
    mine: Scored,
    start: Cursor | None,
    limit: int,
    *,
    period: Period,
    week: dt.date | None,
    listed: bool,
) -> Leaderboard:
    backwards = start is not None and start.backwards
    beyond = start.key if start is not None else None
    found = board.rows(beyond=beyond, backwards=backwards, limit=limit + 1, without=mine.id)
    if listed and _is_beyond(mine, beyond, backwards=backwards):
        found = sorted([*found, mine], key=_order, reverse=backwards)
    more = len(found) > limit
    users = found[:limit]
    if backwards:
        users.reverse()
    items = _ranked(board, users, mine, listed=listed, is_first=start is None)
    ends = [(user.points, user.id) for user in (users[:1] + users[-1:])]
    first, last = ends or (beyond, beyond)  # nobody is stuck where others have gone
    goes_on, goes_back = (True, more) if backwards else (more, start is not None)
    return Leaderboard(
        items=items,
        next=_cursor(last) if goes_on else None,
        previous=_cursor(first, backwards=True) if goes_back else None,
        me=_place_of(
            mine,
            rank=1 + board.above(mine.points, without=mine.id) if listed else None,
            mine=mine,
        ),
        period=period,
        week_start=week,
    )


def _ranked(
    board: Board, users: Sequence[Scored], mine: Scored, *, listed: bool, is_first: bool
) -> list[Place]:
    if not users:
        return []
    above = tied = 0
    if not is_first:
        head = users[0]
        above = board.above(head.points, without=mine.id)
        tied = board.tied_before(head.points, head.id, without=mine.id)
        if listed and mine.points > head.points:
            above += 1
        elif listed and mine.points == head.points and mine.id < head.id:
            tied += 1
    rank, places = above + 1, []
    for number, user in enumerate(users):
        if number and user.points != users[number - 1].points:
            rank = above + tied + number + 1
        places.append(_place_of(user, rank=rank, mine=mine))
    return places


def _place_of(user: Scored, *, rank: int | None, mine: Scored) -> Place:
    return Place(
        rank=rank, user_id=user.id, name=user.name, points=user.points, is_me=user.id == mine.id
    )


def _order(user: Scored) -> tuple[int, UUID]:
    return -user.points, user.id


def _is_beyond(user: Scored, place: tuple[int, UUID] | None, *, backwards: bool) -> bool:
    if place is None:
        return True
    here, there = _order(user), (-place[0], place[1])
    return here < there if backwards else here > there


def _cursor(place: Any, *, backwards: bool = False) -> str | None:
    return None if place is None else encode_cursor(Cursor(key=place, backwards=backwards))


def _place(text: str) -> Cursor:
    cursor = decode_cursor(text, length=2)
    points, key = cursor.key
    try:
        if isinstance(points, bool) or not isinstance(points, int) or not 0 <= points < 2**63:
            raise ValueError
        return Cursor(key=(points, UUID(key)), backwards=cursor.backwards)
    except (ValueError, TypeError, AttributeError):
        raise CursorInvalid("The cursor belongs to another list.") from None
