"""What goes over the wire."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from common.pagination import LONGEST_CURSOR
from common.schemas import AnswerSchema, Day, Page, WireSchema
from tracker.models import LONGEST_TAG, MOST_POINTS, MOST_TAGS

PriorityName = Literal["low", "normal", "high", "urgent"]
StateName = Literal["running", "paused", "stopped"]
StatusName = Literal["pending", "accepted", "declined", "blocked"]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Label = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Notes = Annotated[str, StringConstraints(max_length=10_000)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TAG)]
Tags = Annotated[list[Tag], Field(max_length=MOST_TAGS)]
Points = Annotated[int, Field(ge=0, le=MOST_POINTS, strict=True)]
CursorText = Annotated[
    str | None,
    Field(description="`next` or `previous` of an earlier answer.", max_length=LONGEST_CURSOR),
]
Limit = Annotated[int, Field(ge=1, le=200, description="Items on the page.")]


class PageQuery(WireSchema):
    """Which page of a list."""

    cursor: CursorText = None
    limit: Limit = 50


class TodosQuery(PageQuery):
    """Which todos."""

    done: bool | None = None
    tag: Tag | None = None
    priority: PriorityName | None = None
    due_before: Day | None = Field(None, description="Due on an earlier day than this.")
    due_after: Day | None = Field(None, description="Due on a later day than this.")


class TodoBody(WireSchema):
    """A new todo."""

    title: Title
    notes: Notes = ""
    due_on: Day | None = None
    priority: PriorityName = "normal"
    tags: Tags = []
    points: Points = 10
    done: bool = False


class TodoChange(WireSchema):
    """Fields to change; those that are left out stay."""

    title: Title | None = None
    notes: Notes | None = None
    due_on: Day | None = Field(None, description="null takes the day away.")
    priority: PriorityName | None = None
    tags: Tags | None = None
    points: Points | None = None
    done: bool | None = Field(None, description="true completes it, false opens it again.")

    @model_validator(mode="after")
    def _only_the_day_may_be_null(self) -> TodoChange:
        empty = [
            name
            for name in self.model_fields_set
            if name != "due_on" and getattr(self, name) is None
        ]
        if empty:
            raise ValueError(f"{', '.join(sorted(empty))} cannot be null; leave it out.")
        return self


class TodoAnswer(AnswerSchema):
    """A todo."""

    id: UUID
    title: str
    notes: str
    due_on: dt.date | None
    priority: PriorityName
    tags: list[str]
    points: int
    done: bool
    completed_at: dt.datetime | None
    created_at: dt.datetime
    updated_at: dt.datetime


class TimersQuery(PageQuery):
    """Which timers."""

    state: StateName | None = None


class TimerBody(WireSchema):
    """A new timer."""

    label: Label = ""


class TimerAnswer(AnswerSchema):
    """A timer as of now."""

    id: UUID
    label: str
    state: StateName
    started_at: dt.datetime
    running_since: dt.datetime | None
    stopped_at: dt.datetime | None
    total_seconds: float = Field(description="Until now, pauses left out.")


class FriendsQuery(PageQuery):
    """Which friendships."""

    status: StatusName | None = None


class FriendAnswer(AnswerSchema):
    """How the caller stands to somebody."""

    id: UUID
    person_id: UUID
    name: str
    status: StatusName
    asked_by_me: bool
    created_at: dt.datetime
    updated_at: dt.datetime


class ReportsQuery(PageQuery):
    """Which reports."""

    from_: Day | None = Field(None, alias="from")
    to: Day | None = None


class ReportBody(WireSchema):
    """What is reported of a day."""

    hours: Annotated[Decimal, Field(ge=0, le=24, max_digits=4, decimal_places=2)]
    mood: Annotated[int, Field(ge=1, le=5, strict=True)] | None = Field(
        None, description="1 (bad) to 5 (good)."
    )
    notes: Notes = ""


class ReportAnswer(AnswerSchema):
    """A daily report."""

    id: UUID
    day: dt.date
    hours: float
    mood: int | None
    notes: str
    created_at: dt.datetime
    updated_at: dt.datetime


class LeaderboardQuery(WireSchema):
    """Which leaderboard, and which page of it."""

    period: Literal["all", "week", "friends"] = "all"
    cursor: CursorText = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class PlaceAnswer(AnswerSchema):
    """One line of the leaderboard."""

    rank: int | None = Field(description="Equal points, equal rank; null without any points.")
    user_id: UUID
    name: str
    points: int
    is_me: bool


class LeaderboardAnswer(Page[PlaceAnswer]):
    """A page of the leaderboard, and the caller's own place in it."""

    me: PlaceAnswer
    period: Literal["all", "week", "friends"]
    week_start: dt.date | None = Field(description="The Monday, in UTC, of the week's.")


class SearchQuery(WireSchema):
    """Whom to find."""

    q: str = Field(min_length=1, max_length=100, description="Beginnings of words of a name.")
    cursor: CursorText = None
    limit: Annotated[int, Field(ge=1, le=50)] = 20


class PersonAnswer(AnswerSchema):
    """Somebody who was found."""

    id: UUID
    name: str


class AnalyticsQuery(WireSchema):
    """Which days, in which time zone."""

    from_: Day | None = Field(None, alias="from", description="By default 29 days before `to`.")
    to: Day | None = Field(None, description="By default today.")
    timezone: str | None = Field(
        None, max_length=64, description="A name such as Europe/Vienna; by default the site's."
    )


class DayAnswer(AnswerSchema):
    """One day."""

    day: dt.date
    todos_completed: int
    points: int
    hours_tracked: float
    hours_reported: float | None
    mood: int | None


class TotalsAnswer(AnswerSchema):
    """All days together."""

    todos_completed: int
    points: int
    hours_tracked: float
    hours_reported: float
    mood: float | None = Field(description="The mean of the days that have one.")


class AnalyticsAnswer(AnswerSchema):
    """A series of days and its totals."""

    first: dt.date = Field(serialization_alias="from")
    last: dt.date = Field(serialization_alias="to")
    timezone: str
    days: list[DayAnswer]
    totals: TotalsAnswer
