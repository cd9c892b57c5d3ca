"""Look before migrating: reachable, new enough, allowed, no replica, and no drift."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from databases.guards import allow_cross_database
from databases.migration import drift

OLDEST_SERVER = 140000
"""PostgreSQL 14, the oldest that Django 5.2 supports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Why an alias is not migrated, and what to do."""

    alias: str
    problem: str
    remedy: str


def examine(connection: BaseDatabaseWrapper, app_labels: Iterable[str]) -> list[Finding]:
    """Return what stands against migrating `app_labels` on this connection's database.

    :raises django.db.utils.Error: when the server does not answer.
    """
    found = _examine_server(connection) if connection.vendor == "postgresql" else []
    if found:
        return found
    remedy = (
        "Find out who changed it. If the tables are truly gone, remove the app's rows from "
        "django_migrations on this database and run migrate_all again."
    )
    return [
        Finding(alias=connection.alias, problem=problem, remedy=remedy)
        for problem in drift.of(connection, list(app_labels))
    ]


def holds_rows(alias: str, app_label: str) -> bool:
    """Tell whether the database holds any row of the app; no table counts as no row."""
    return bool(tables_with_rows(alias, app_label))


def tables_with_rows(alias: str, app_label: str) -> list[str]:
    """Return the tables of the app that hold rows in the database."""
    found: list[str] = []
    connection = connections[alias]
    with connection.cursor() as cursor:
        present = set(connection.introspection.table_names(cursor))
        for model in drift.models_of(app_label):
            if model._meta.db_table not in present:
                continue
            table = connection.ops.quote_name(model._meta.db_table)
            with allow_cross_database(reason="asks whether rows lie where the app is not at home"):
                cursor.execute(f"SELECT 1 FROM {table} LIMIT 1")  # noqa: S608 - a quoted name
            if cursor.fetchone():
                found.append(model._meta.db_table)
    return found


def _examine_server(connection: BaseDatabaseWrapper) -> list[Finding]:
    alias = connection.alias
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_is_in_recovery(), current_setting('server_version_num')::int,"
            " has_schema_privilege(current_schema(), 'CREATE'), current_user"
        )
        in_recovery, version, may_create, user = cursor.fetchone()
    found: list[Finding] = []
    if in_recovery:
        found.append(
            Finding(
                alias=alias,
                problem="the server is a replica",
                remedy="Set the variable to the primary's URL.",
            )
        )
    if version < OLDEST_SERVER:
        found.append(
            Finding(
                alias=alias,
                problem=f"the server is PostgreSQL {version // 10000}",
                remedy=f"Use PostgreSQL {OLDEST_SERVER // 10000} or newer.",
            )
        )
    if not may_create and not in_recovery:
        found.append(
            Finding(
                alias=alias,
                problem=f"the role {user} may not create tables",
                remedy=f"GRANT CREATE ON SCHEMA public TO {user}, or use the owner's role.",
            )
        )
    return found
