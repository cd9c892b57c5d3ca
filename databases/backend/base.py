"""PostgreSQL through psycopg 3."""

from __future__ import annotations

from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper

from databases.backend.wrapper import WatchedWrapper


class DatabaseWrapper(WatchedWrapper, PostgresWrapper):
    """What `ENGINE = "databases.backend"` names; its vendor stays "postgresql"."""

    has_wal_positions = True
    commits_with_rows = True
