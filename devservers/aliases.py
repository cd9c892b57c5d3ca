"""Which servers there are, what they hold, and the variables that name them to the site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

PRIMARY, OTHERS, REPLICA, REDIS, MONGODB = "primary", "others", "replica", "redis", "mongodb"
ALL_SERVERS = (PRIMARY, OTHERS, REPLICA, REDIS, MONGODB)

VARIABLES: Mapping[str, tuple[str, ...]] = {
    "default": ("DATABASE_URL", "PRIMARY_DATABASE_URL"),
    "cache": ("CACHE_DATABASE_URL", "CACHE_STORAGE_POSTGRES_URL"),
    "analytics": ("ANALYTICS_DATABASE_URL",),
    "documents": ("DOCUMENTS_DATABASE_URL",),
    "compliance": ("COMPLIANCE_DATABASE_URL",),
    "data": ("DATA_DATABASE_URL",),
    "replica": ("READ_REPLICA_DATABASE_URL",),
    "mongodb": ("MONGO_URL",),
    "redis": ("REDIS_URL",),
}
"""Alias (or store) to its variables, the one that we set first."""

DATABASES: Mapping[str, tuple[str, ...]] = {
    PRIMARY: ("default",),
    OTHERS: ("cache", "analytics", "documents", "compliance", "data"),
}
KIND: Mapping[str, str] = {REDIS: "redis", MONGODB: "mongodb"}


def kind_of(server: str) -> str:
    """Return postgres, redis or mongodb."""
    return KIND.get(server, "postgres")


def given_aliases(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the aliases and stores for which the user named a server of their own."""
    return frozenset(
        alias
        for alias, names in VARIABLES.items()
        if any(environment.get(name, "").strip() for name in names)
    )


def needed_servers(wanted: Iterable[str], given: frozenset[str]) -> tuple[str, ...]:
    """Return which of the wanted servers must be started beside what the user has.

    A replica copies our own primary, so it is not started beside a primary of the user's.
    """
    needed = [server for server in wanted if not _is_given(server, given)]
    if PRIMARY not in needed and REPLICA in needed:
        needed.remove(REPLICA)
    return tuple(needed)


def _is_given(server: str, given: frozenset[str]) -> bool:
    return all(alias in given for alias in DATABASES.get(server, (server,)))
