"""The tracker among a million todos: writes against a write to both stores, reads against SQL.

1. `POST /api/todos` of 50 people: ours, and the same view that stores the todo in MongoDB, too,
   before it answers.
2. The leaderboard, of all time and of the week, and a month's analytics: ours from MongoDB, and
   what PostgreSQL counts from the todos themselves.
"""

from __future__ import annotations

import argparse
import datetime as dt
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.utils import timezone

from benchmarks.common import exit_code, median, percentile, report, site, table
from devservers.aliases import MONGODB, PRIMARY, REDIS

USERS: Final = 100_000
TODOS: Final = 1_000_000
CALLS: Final = 200
SLOTS: Final = 20
DAYS: Final = 30
ZONE: Final = "Europe/Vienna"
TARGETS: Final = {"post_gain": (">=", 3.0), "leaderboard_gain": (">=", 5.0)}
Figures = dict[str, float]
Call = Callable[[UUID], object]

_TOTALS: Final = """
WITH totals AS MATERIALIZED (
    SELECT t.user_id, sum(t.points) AS earned FROM tracker_todo AS t
    JOIN accounts_user AS u ON u.id = t.user_id
    WHERE t.completed_at >= %(since)s AND u.is_active GROUP BY t.user_id
), mine AS (
    SELECT count(*) + 1 AS rank FROM totals
    WHERE earned > (SELECT earned FROM totals WHERE user_id = %(user)s)
), first AS (
    SELECT * FROM totals ORDER BY earned DESC, user_id LIMIT 20
)
SELECT rank() OVER (ORDER BY earned DESC), user_id, u.first_name, u.last_name, earned,
       (SELECT rank FROM mine)
FROM first JOIN accounts_user AS u ON u.id = user_id ORDER BY earned DESC, user_id
"""
_DAYS: Final = (
    """
    SELECT (completed_at AT TIME ZONE %(zone)s)::date, count(*), sum(points) FROM tracker_todo
    WHERE user_id = %(user)s AND completed_at >= %(since)s GROUP BY 1 ORDER BY 1
    """,
    """
    SELECT (started_at AT TIME ZONE %(zone)s)::date, sum(ended_at - started_at)
    FROM tracker_timerinterval
    WHERE user_id = %(user)s AND started_at >= %(since)s GROUP BY 1 ORDER BY 1
    """,
    """
    SELECT day, hours, mood FROM tracker_dailyreport
    WHERE user_id = %(user)s AND day >= %(since)s::date ORDER BY 1
    """,
)


def main() -> None:
    """Run the parts and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=USERS, help=f"people ({USERS})")
    parser.add_argument("--todos", type=int, default=TODOS, help=f"of all of them ({TODOS})")
    parser.add_argument("--calls", type=int, default=CALLS, help=f"of each side ({CALLS})")
    parser.add_argument(
        "--part", choices=sorted(PARTS), action="append", help="one part; may be repeated"
    )
    options = parser.parse_args()
    with site("tracker", (PRIMARY, REDIS, MONGODB)):
        chosen = options.part or list(PARTS)
        fill(
            users=options.users,
            todos=options.todos,
            collections={collection for name in chosen for collection in NEEDED[name]},
        )
        figures: Figures = {}
        for name in chosen:
            figures |= PARTS[name](options.calls)
            print(flush=True)
        targets = {name: target for name, target in TARGETS.items() if name in figures}
        met = report("tracker", figures=figures, targets=targets)
    exit_code(met=met)


def fill(*, users: int, todos: int, collections: Collection[str]) -> None:
    """Write the rows, and their copies in these collections."""
    from benchmarks import tracker_rows as rows

    begun = time.monotonic()
    rows.fill_postgres(users=users, todos=todos)
    print(f"PostgreSQL was filled in {time.monotonic() - begun:.0f} s.", flush=True)
    begun = time.monotonic()
    counts = rows.fill_mongodb(collections)
    if any(
        counts.get(name, there) != there for name, there in (("todos", todos), ("users", users))
    ):
        raise SystemExit(f"MongoDB has {counts}.")
    print(f"MongoDB was filled in {time.monotonic() - begun:.0f} s.\n", flush=True)


def measure_posts(_: int) -> Figures:
    """Compare a POST with one that writes to MongoDB before it answers."""
    from benchmarks.todo_load import measure_posts, ratio

    p95, highest = measure_posts(("outbox", "inline"))
    return {
        "post_gain": ratio(p95["inline"], p95["outbox"]),
        "post_p95_ms": median(p95["outbox"]),
        "post_inline_p95_ms": median(p95["inline"]),
        "post_rate": highest,
    }


def measure_leaderboard(calls: int) -> Figures:
    """Compare the first page and one's own rank with SQL; the smaller gain of both periods."""
    from tracker.queries.leaderboard import Period, leaderboard
    from tracker.querysets import week_of

    now = timezone.now()
    monday = dt.datetime.combine(week_of(now.date()), dt.time(), dt.UTC)

    def ours(period: Period) -> Call:
        return lambda user: leaderboard(user_id=user, period=period, at=now)

    def in_sql(since: dt.datetime) -> Call:
        return lambda user: _rows(_TOTALS, user=user, since=since)

    sides = {
        "all time": ours(Period.ALL),
        "all time, SQL": in_sql(dt.datetime(1970, 1, 1, tzinfo=dt.UTC)),
        "week": ours(Period.WEEK),
        "week, SQL": in_sql(monday),
    }
    p95 = timed(sides, calls)
    return {
        "leaderboard_p95_ms": p95["all time"],
        "leaderboard_week_p95_ms": p95["week"],
        "leaderboard_gain": min(
            p95["all time, SQL"] / p95["all time"], p95["week, SQL"] / p95["week"]
        ),
    }


def measure_analytics(calls: int) -> Figures:
    """Compare a month of one user with three aggregates."""
    from tracker.queries.analytics import analytics

    now = timezone.now()
    since = now - dt.timedelta(days=DAYS)

    def ours(user: UUID) -> object:
        return analytics(
            user_id=user, first=since.date(), last=now.date(), timezone=ZONE, at=now
        )  # fmt: skip

    def in_sql(user: UUID) -> object:
        return [_rows(statement, user=user, since=since, zone=ZONE) for statement in _DAYS]

    p95 = timed({"analytics": ours, "analytics, SQL": in_sql}, calls)
    return {
        "analytics_p95_ms": p95["analytics"],
        "analytics_sql_p95_ms": p95["analytics, SQL"],
    }


PARTS: Final[Mapping[str, Callable[[int], Figures]]] = {
    "leaderboard": measure_leaderboard,
    "analytics": measure_analytics,
    "posts": measure_posts,
}
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "leaderboard": ("users",),
    "analytics": ("todos", "timers", "daily_reports"),
    "posts": ("users", "todos"),
}
"""Which collections a part reads, or writes beside what is there."""


# ------------------------------------------------------------------------------------------------


def timed(sides: Mapping[str, Call], calls: int) -> dict[str, float]:
    """Call each side for the same users, by turns; return their 95th percentiles in ms."""
    from benchmarks.tracker_rows import some_users

    seconds: dict[str, list[float]] = defaultdict(list)
    for number, user in enumerate(some_users(calls + 1)):
        for name in list(sides)[:: 1 if number % 2 else -1]:
            begun = time.perf_counter()
            sides[name](user)
            if number:  # the first connects
                seconds[name].append(time.perf_counter() - begun)
    p95 = {name: percentile(some, 0.95) * 1000 for name, some in seconds.items()}
    table(
        ("one caller at a time", "calls", "p50, ms", "p95, ms"),
        [
            (name, len(some), f"{median(some) * 1000:.1f}", f"{p95[name]:.1f}")
            for name, some in sorted(seconds.items())
        ],
    )
    return p95


def _rows(statement: str, **values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


if __name__ == "__main__":
    main()
