"""What is there in one database: tables with columns, sequences and functions of the site."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections

from databases import placement
from databases.aliases import PRIMARY, is_replica, primary_of
from databases.migration import drift
from databases.migration.run import decide_placement_or_known

_WHERE = "SELECT current_database(), current_schema(), session_user"
_COLUMNS = """
SELECT c.relname, a.attname
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""
# Sequences of identity and serial columns belong to their table, and change owner with it.
_SEQUENCES = """
SELECT c.relname, EXISTS (
    SELECT FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
)
FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'S' ORDER BY c.relname
"""
# Functions of extensions are theirs.
_FUNCTIONS = """
SELECT p.proname, pg_get_function_identity_arguments(p.oid), p.prorettype = 'trigger'::regtype
FROM pg_proc p
WHERE p.pronamespace = current_schema()::regnamespace AND p.prokind = 'f' AND NOT EXISTS (
    SELECT FROM pg_depend d
    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
)
ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function of the schema."""

    name: str
    arguments: str
    """As PostgreSQL itself writes their types."""
    is_trigger: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What one database holds of the site."""

    alias: str
    database: str
    schema: str
    user: str
    """Who asked."""
    tables: dict[str, list[str]]
    """Those of the apps that live here, and Django's own of migrations, with their columns."""
    sequences: dict[str, bool]
    """Name to whether it belongs to a table's column."""
    functions: list[Function]


def follows(alias: str) -> str | None:
    """Return the alias that a replica copies, roles and privileges included; else None."""
    return primary_of(alias) if is_replica(alias) else None


def read(alias: str) -> Contents:
    """Look into a database.

    :raises django.db.utils.Error: when it does not answer.
    """
    here = {label for label, home in decide_placement_or_known().items() if home == alias}
    if alias == PRIMARY:
        here |= placement.apps_with_left_rows()
    models = [model for label in sorted(here) for model in drift.models_of(label)]
    ours = {"django_migrations", *(model._meta.db_table for model in models)}
    with connections[alias].cursor() as cursor:
        cursor.execute(_WHERE)
        database, schema, user = cursor.fetchone()
        cursor.execute(_COLUMNS)
        tables: dict[str, list[str]] = {}
        for table, column in cursor.fetchall():
            if table in ours:
                tables.setdefault(table, []).append(column)
        cursor.execute(_SEQUENCES)
        sequences = dict(cursor.fetchall())
        cursor.execute(_FUNCTIONS)
        functions = [
            Function(name=name, arguments=arguments, is_trigger=is_trigger)
            for name, arguments, is_trigger in cursor.fetchall()
        ]
    return Contents(
        alias=alias,
        database=database,
        schema=schema,
        user=user,
        tables=tables,
        sequences=sequences,
        functions=functions,
    )
