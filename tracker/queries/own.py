"""One's own rows, from PostgreSQL: a replica that has the caller's writes, else the primary."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from accounts.queries import NOBODY, people
from common.pagination import KeysetPage, page_of
from tracker.models import DailyReport, Friendship, Timer, Todo, tidy_tag


@dataclass(frozen=True, slots=True, kw_only=True)
class TodoFilter:
    """Which todos; None asks for all."""

    done: bool | None = None
    tag: str | None = None
    priority: str | None = None
    due_before: dt.date | None = None
    """Due on an earlier day than this one."""
    due_after: dt.date | None = None
    """Due on a later day than this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FriendshipSeen:
    """A friendship as one of the two sees it."""

    id: UUID
    person_id: UUID
    name: str
    status: str
    asked_by_me: bool
    created_at: dt.datetime
    updated_at: dt.datetime


def todos_of(
    *, user_id: UUID, which: TodoFilter, cursor: str | None = None, limit: int = 50
) -> KeysetPage[Todo]:
    """Return a page of the user's todos, the newest first. Raises CursorInvalid."""
    rows = Todo.objects.of(user_id)
    if which.done is not None:
        rows = rows.done() if which.done else rows.open()
    if which.tag is not None:
        rows = rows.filter(tags__contains=[tidy_tag(which.tag)])
    if which.priority is not None:
        rows = rows.filter(priority=which.priority)
    if which.due_before is not None:
        rows = rows.filter(due_on__lt=which.due_before)
    if which.due_after is not None:
        rows = rows.filter(due_on__gt=which.due_after)
    return page_of(rows, cursor=cursor, limit=limit, by=["id"])


def todo_of(*, user_id: UUID, todo_id: UUID) -> Todo | None:
    """Return one todo, or None where it is none of the user's."""
    return Todo.objects.of(user_id).filter(pk=todo_id).first()


def done_lately(*, user_id: UUID, limit: int) -> list[Todo]:
    """Return the user's todos that were completed last, the latest first."""
    return list(Todo.objects.of(user_id).done().order_by("-completed_at", "-pk")[:limit])


def timers_of(
    *, user_id: UUID, state: str | None = None, cursor: str | None = None, limit: int = 50
) -> KeysetPage[Timer]:
    """Return a page of the user's timers, the newest first. Raises CursorInvalid."""
    rows = Timer.objects.of(user_id)
    if state is not None:
        rows = rows.filter(state=state)
    return page_of(rows, cursor=cursor, limit=limit, by=["id"])


def timer_of(*, user_id: UUID, timer_id: UUID) -> Timer | None:
    """Return one timer, or None where it is none of the user's."""
    return Timer.objects.of(user_id).filter(pk=timer_id).first()


def reports_of(
    *,
    user_id: UUID,
    first: dt.date | None = None,
    last: dt.date | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> KeysetPage[DailyReport]:
    """Return a page of the user's reports, the latest day first. Raises CursorInvalid."""
    rows = DailyReport.objects.of(user_id).between(first or dt.date.min, last or dt.date.max)
    return page_of(rows, cursor=cursor, limit=limit, by=["day"])


def report_of(*, user_id: UUID, day: dt.date) -> DailyReport | None:
    """Return the user's report of one day, or None."""
    return DailyReport.objects.of(user_id).filter(day=day).first()


def friendships_of(
    *, user_id: UUID, status: str | None = None, cursor: str | None = None, limit: int = 50
) -> KeysetPage[FriendshipSeen]:
    """Return a page of the pairs that the user may know of, the newest first.

    :raises CursorInvalid: 422.
    """
    rows = Friendship.objects.visible_to(user_id)
    if status is not None:
        rows = rows.filter(status=status)
    page = page_of(rows, cursor=cursor, limit=limit, by=["id"])
    return KeysetPage(items=seen_by(user_id, page.items), next=page.next, previous=page.previous)


def friendship_with(*, user_id: UUID, other_id: UUID) -> FriendshipSeen | None:
    """Return how the user stands to another one, as far as the user may know."""
    if user_id == other_id:
        return None
    rows = Friendship.objects.between(user_id, other_id) & Friendship.objects.visible_to(user_id)
    return next(iter(seen_by(user_id, rows)), None)


def friend_ids(*, user_id: UUID) -> set[UUID]:
    """Return the user's friends."""
    rows = Friendship.objects.of(user_id).accepted()
    return {row.other(user_id) for row in rows}


def blocked_ids(*, user_id: UUID) -> set[UUID]:
    """Return whom the user blocks and who blocks the user."""
    rows = Friendship.objects.of(user_id).blocked()
    return {row.other(user_id) for row in rows}


def seen_by(user_id: UUID, rows: Iterable[Friendship]) -> list[FriendshipSeen]:
    """Return these pairs as the user sees them, with the other one's name."""
    found = list(rows)
    known = people(ids=[row.other(user_id) for row in found])
    return [
        FriendshipSeen(
            id=row.pk,
            person_id=row.other(user_id),
            name=known[row.other(user_id)].name if row.other(user_id) in known else NOBODY,
            status=row.status,
            asked_by_me=row.asked_by(user_id),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in found
    ]
