"""Drift: where `django_migrations` and the real tables of an app contradict each other.

Three facts are compared: the state that the recorded migrations describe, the state of the code,
and the tables and columns that are there. Django records every migration also on databases where
the router keeps the tables away, so that an app which later moves there is recorded and has no
tables; and people restore, drop and create by hand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from django.apps import apps
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.db.migrations.loader import MigrationLoader
from django.db.models import Model

Tables = Mapping[str, set[str]]
"""Table name to the names of its columns."""

COLUMNS_SQL = """
SELECT c.relname, a.attname
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
   AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
   AND pg_catalog.pg_table_is_visible(c.oid)
"""


def of(connection: BaseDatabaseWrapper, app_labels: list[str]) -> list[str]:
    """Return a sentence for each contradiction, beginning with the app's label.

    :raises django.db.utils.Error: when the server does not answer.
    """
    loader = MigrationLoader(connection)
    try:
        loader.check_consistent_history(connection)
    except InconsistentMigrationHistory as error:
        return [str(error).rstrip(".")]
    recorded = [key for key in loader.applied_migrations if key[0] in app_labels]
    known = [key for key in recorded if key in loader.graph.nodes]
    described = loader.project_state(known).apps.get_models(include_auto_created=True)
    present = _present(connection)
    return [
        f"{label}: {problem}"
        for label in app_labels
        for problem in _contradictions(
            recorded=sum(key[0] == label for key in recorded),
            expected=_tables(model for model in described if model._meta.app_label == label),
            code=_tables(models_of(label)),
            present=present,
        )
    ]


def models_of(app_label: str) -> list[type[Model]]:
    """Return the models of an app that have a table of their own."""
    models = apps.get_app_config(app_label).get_models(include_auto_created=True)
    return [model for model in models if _has_table(model)]


def _contradictions(
    *, recorded: int, expected: Tables, code: Tables, present: Tables
) -> Iterator[str]:
    missing = sorted(expected.keys() - present.keys())
    if missing and len(missing) == len(expected):
        yield f"{recorded} migrations are recorded as applied, but it has no tables here"
    elif missing:
        yield f"its migrations are recorded, but these tables are missing: {_all(missing)}"
    early = sorted((code.keys() - expected.keys()) & present.keys())
    if early:
        yield f"no migration that makes them is recorded, but these tables exist: {_all(early)}"
    for table in sorted(expected.keys() & present.keys()):
        if lost := expected[table] - present[table]:
            yield f"the table {table} lacks these columns: {_all(lost)}"
        if early_columns := (code.get(table, set()) - expected[table]) & present[table]:
            yield (
                f"no migration that adds them is recorded, but the table {table} has these "
                f"columns: {_all(early_columns)}"
            )


def _all(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _has_table(model: type[Model]) -> bool:
    return model._meta.managed and not model._meta.proxy


def _tables(models: Iterable[type[Model]]) -> Tables:
    return {
        model._meta.db_table: {str(field.column) for field in model._meta.local_concrete_fields}
        for model in models
        if _has_table(model)
    }


def _present(connection: BaseDatabaseWrapper) -> Tables:
    found: dict[str, set[str]] = defaultdict(set)
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS_SQL)
        for table, column in cursor.fetchall():
            found[table].add(column)
    return found
