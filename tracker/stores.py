"""The tracker's reads of MongoDB. Every one names `_live`: deleted documents leave tombstones."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from accounts.queries import NOBODY
from databases.stores import mongo
from databases.stores.mongo import Document

_LISTED: Final = {"_live": True, "is_active": True}


class Scored(NamedTuple):
    """A user in a leaderboard."""

    points: int
    id: UUID
    name: str


class Found(NamedTuple):
    """A user that a search found."""

    search_name: str
    id: UUID
    name: str


class Activity(NamedTuple):
    """What one user did in a span of time, as it is told to analytics."""

    completed: Sequence[tuple[dt.datetime, int]]
    """When, and for how many points."""
    intervals: Sequence[tuple[dt.datetime, dt.datetime | None]]
    """Times in which a timer ran; None: it still does."""
    reports: Sequence[tuple[str, float, int | None]]
    """Day, hours, mood."""


class MongoBoard:
    """The leaderboard in MongoDB: everybody's points, or those of one week."""

    def __init__(self, *, week: dt.date | None) -> None:
        """Rank by all points, or by those of the week that began with the Monday `week`."""
        self._field = "total_points" if week is None else "week_points"
        self._among: Document = dict(_LISTED)
        if week is not None:
            self._among["week_start"] = week.isoformat()

    def rows(
        self, *, beyond: tuple[int, UUID] | None, backwards: bool, limit: int, without: UUID
    ) -> list[Scored]:
        """Return users beyond a place, in the order of the list or backwards."""
        field, side, step = self._field, "$lt", 1
        if backwards:
            side, step = "$gt", -1
        wanted = {**self._among, field: {"$gt": 0}, "_id": {"$ne": str(without)}}
        if beyond is not None:
            points, key = beyond
            further = {"$lt": str(key)} if backwards else {"$gt": str(key)}
            wanted[field] = {"$gt": 0, f"{side}e": points}
            wanted["$or"] = [{field: {side: points}}, {"_id": further}]
        with mongo.database() as database:
            found = (
                database["users"]
                .find(wanted, {field: 1, "name": 1})
                .sort([(field, -step), ("_id", step)])
                .limit(limit)
            )
            return [_scored(row, field) for row in found]

    def above(self, points: int, *, without: UUID) -> int:
        """Count the users with more points."""
        return self._count({self._field: {"$gt": points}}, without)

    def tied_before(self, points: int, key: UUID, *, without: UUID) -> int:
        """Count the users with as many points that stand before this id."""
        return self._count({self._field: points, "_id": {"$lt": str(key)}}, without)

    def _count(self, condition: Document, without: UUID) -> int:
        # Without the caller, whose document is looked at alone: "all but one" would have the count
        # read every entry of the index instead of skipping over it.
        wanted = {**self._among, **condition}
        one = str(without)
        with mongo.database() as database:
            users = database["users"]
            counted = users.count_documents(wanted)
            mine = users.find_one({"$and": [wanted, {"_id": one}]}, {"_id": 1})
            return counted - (mine is not None)


def points_of(ids: Iterable[UUID]) -> list[Scored]:
    """Return these users with all their points, unsorted; inactive ones are missing."""
    wanted = {**_LISTED, "_id": {"$in": [str(key) for key in ids]}}
    with mongo.database() as database:
        found = database["users"].find(wanted, {"total_points": 1, "name": 1})
        return [_scored(row, "total_points") for row in found]


def find_people(
    *,
    words: Sequence[str],
    without: Collection[UUID],
    after: tuple[str, UUID] | None,
    limit: int,
) -> list[Found]:
    """Return active users in whose name each of `words` begins a word, by name."""
    conditions: list[Document] = [
        {"search_words": {"$regex": f"^{re.escape(word)}"}} for word in words
    ]
    if after is not None:
        name, key = after
        behind = {"search_name": name, "_id": {"$gt": str(key)}}
        conditions.append({"$or": [{"search_name": {"$gt": name}}, behind]})
    wanted = {**_LISTED, "_id": {"$nin": [str(key) for key in without]}, "$and": conditions}
    with mongo.database() as database:
        found = (
            database["users"]
            .find(wanted, {"search_name": 1, "name": 1})
            .sort([("search_name", 1), ("_id", 1)])
            .limit(limit)
        )
        return [Found(row["search_name"], UUID(row["_id"]), row["name"] or NOBODY) for row in found]


def activity_of(
    *, user_id: UUID, start: dt.datetime, end: dt.datetime, first: dt.date, last: dt.date
) -> Activity:
    """Return what the user did between two moments, and reported of the days between two days."""
    mine = {"_live": True, "user_id": str(user_id)}
    overlapping = {
        "started_at": {"$lt": end},
        "$or": [{"ended_at": None}, {"ended_at": {"$gt": start}}],
    }
    with mongo.database() as database:
        completed = database["todos"].find(
            {**mine, "completed_at": {"$gte": start, "$lt": end}}, {"completed_at": 1, "points": 1}
        )
        timers = database["timers"].find(
            {**mine, "started_at": {"$lt": end}, "intervals": {"$elemMatch": overlapping}},
            {"intervals": 1},
        )
        reports = database["daily_reports"].find(
            {**mine, "day": {"$gte": first.isoformat(), "$lte": last.isoformat()}},
            {"day": 1, "hours": 1, "mood": 1},
        )
        return Activity(
            completed=[(row["completed_at"], row["points"]) for row in completed],
            intervals=[
                (interval["started_at"], interval["ended_at"])
                for row in timers
                for interval in row["intervals"]
            ],
            reports=[(row["day"], row["hours"], row["mood"]) for row in reports],
        )


def _scored(row: dict[str, Any], field: str) -> Scored:
    return Scored(row[field], UUID(row["_id"]), row["name"] or NOBODY)
