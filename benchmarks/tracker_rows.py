"""A hundred thousand people and a million todos, in PostgreSQL and in MongoDB."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.utils import timezone
from pymongo import MongoClient

Document = dict[str, Any]

AT_ONCE: Final = 5_000
DAYS: Final = 60
_USERS: Final = """
INSERT INTO accounts_user (id, email, password, first_name, last_name, is_superuser, is_active,
                           is_staff)
SELECT uuidv7(), 'person-' || n || '@example.org', '', 'Person', n::text, false, true, false
FROM generate_series(1, %(users)s) AS n
"""
_TODOS: Final = """
INSERT INTO tracker_todo (id, user_id, title, notes, priority, tags, points, completed_at,
                          created_at, updated_at)
SELECT uuidv7(), p.id, 'Todo ' || n, '', 'normal', ARRAY['work'],
       (ARRAY[5, 10, 20, 50])[1 + (random() * 3)::int],
       CASE WHEN n %% 10 < 6
            THEN date_trunc('milliseconds', made.at + random() * (%(at)s - made.at)) END,
       made.at, made.at
FROM generate_series(0, %(todos)s - 1) AS n
JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS number FROM accounts_user
      WHERE email LIKE 'person-%%') AS p ON p.number = n %% %(users)s
CROSS JOIN LATERAL (
    SELECT date_trunc('milliseconds', %(at)s - random() * make_interval(days => %(days)s)) AS at
    WHERE n >= 0
) AS made
"""
_FACTS: Final = (
    """
    INSERT INTO tracker_pointsday (id, user_id, day, points)
    SELECT uuidv7(), user_id, (completed_at AT TIME ZONE 'UTC')::date, sum(points)
    FROM tracker_todo WHERE completed_at IS NOT NULL GROUP BY 2, 3
    """,
    """
    INSERT INTO tracker_standing (id, user_id, total_points, wrote_at)
    SELECT uuidv7(), u.id, coalesce(sum(d.points), 0), %(at)s
    FROM accounts_user AS u LEFT JOIN tracker_pointsday AS d ON d.user_id = u.id GROUP BY u.id
    """,
    """
    INSERT INTO tracker_timer (id, user_id, label, state, started_at, counted_ms, stopped_at)
    SELECT uuidv7(), id, '', 'stopped', %(at)s - interval '90 minutes', 3600000,
           %(at)s - interval '30 minutes'
    FROM accounts_user
    """,
    """
    INSERT INTO tracker_timerinterval (id, timer_id, user_id, started_at, ended_at)
    SELECT uuidv7(), id, user_id, started_at, stopped_at FROM tracker_timer
    """,
    """
    INSERT INTO tracker_dailyreport (id, user_id, day, hours, mood, notes)
    SELECT uuidv7(), id, (%(at)s::timestamptz AT TIME ZONE 'UTC')::date - back, 7.5, 4, ''
    FROM accounts_user CROSS JOIN generate_series(0, 1) AS back
    """,
)
_TABLES: Final = (
    "accounts_user", "tracker_todo", "tracker_pointsday", "tracker_standing", "tracker_timer",
    "tracker_timerinterval", "tracker_dailyreport",
)  # fmt: skip


def fill_postgres(*, users: int, todos: int) -> None:
    """Write all rows, as many days old as people keep them."""
    at = timezone.now().replace(microsecond=0)
    values: dict[str, Any] = {"users": users, "todos": todos, "days": DAYS, "at": at}
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for statement in (_USERS, _TODOS, *_FACTS):
            cursor.execute(statement, values)
            # The events that triggers recorded: MongoDB is filled by other means here.
            cursor.execute("TRUNCATE outbox_outboxevent")
        for table in _TABLES:
            cursor.execute(f"VACUUM (ANALYZE) {table}")


def fill_mongodb(collections: Collection[str]) -> dict[str, int]:
    """Copy every row that these projections show; returns how many of each.

    As the outbox would, but without its versions' comparison: there is nothing to compare with.
    """
    from databases.stores import mongo
    from outbox import registry

    mongo.ensure_indexes()
    client: MongoClient[Document] = MongoClient(os.environ["MONGO_URL"])
    database = client.get_default_database("polystore")
    counts = dict.fromkeys(collections, 0)
    for projection in registry.projections():
        if projection.name not in counts:
            continue
        chosen = database[projection.name]
        for ids in _pages(projection.page):
            documents = registry.load(projection, ids)
            chosen.insert_many(
                [{"_id": key, **each, "_v": 1, "_live": True} for key, each in documents.items()],
                ordered=False,
            )
            counts[projection.name] += len(documents)
    client.close()
    return counts


def _pages(page: Any) -> Iterator[Sequence[str]]:
    after = None
    while ids := page(after, AT_ONCE):
        yield ids
        after = ids[-1]


def some_users(count: int) -> list[UUID]:
    """Return users, chosen by chance: their ranks are spread over the whole leaderboard."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT user_id FROM tracker_standing WHERE total_points > 0"
            " ORDER BY random() LIMIT %s",
            [count],
        )
        return [row[0] for row in cursor.fetchall()]
