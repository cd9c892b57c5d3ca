"""CockroachDB through django-cockroachdb. WAL positions do not exist there: time pins stand in."""

from __future__ import annotations

from django_cockroachdb.base import DatabaseWrapper as CockroachWrapper

from databases.backend.wrapper import WatchedWrapper


class DatabaseWrapper(WatchedWrapper, CockroachWrapper):  # type: ignore[misc]  # it has no types
    """What `ENGINE = "databases.backend_cockroach"` names."""

    has_wal_positions = False
