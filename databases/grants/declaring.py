"""What the site's PostgreSQL role may not change, and what reports may not read.

Apps declare theirs in `AppConfig.ready()`. Beside that, whatever is called like a secret is hidden
from reports, so that a table that nobody thought of is hidden rather than shown.
"""

from __future__ import annotations

import re
from typing import Final

from django.apps import apps

EVERYTHING: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
APPEND: Final = ("SELECT", "INSERT")
READ: Final = ("SELECT",)

_SECRET_COLUMN: Final = re.compile(
    r"passw|secret|token|hash$|_sha256$|session|verifier|otp|recovery|payload|headers|args$"
)
_SECRET_TABLE: Final = re.compile(
    r"session|token|grant|oauth|authorization|socialaccount|_mfa|mfa_|confirmation|idempotency|_mail|leaving"
)
_site: dict[str, tuple[str, ...]] = {
    # Written by migrations alone, which the owner runs.
    "django_migrations": READ,
    "django_content_type": READ,
    "auth_permission": READ,
    "databases_placement": READ,
}
_hidden_apps: set[str] = set()
_hidden: dict[str, frozenset[str]] = {
    # What was changed, in words: it may name rows of a closed app.
    "django_admin_log": frozenset({"object_repr", "change_message"}),
}


def let_site(table: str, privileges: tuple[str, ...]) -> None:
    """Have the site's role do no more than this with a table; by default it may read and write.

    :param privileges: EVERYTHING, APPEND or READ.
    """
    _site[table] = privileges


def hide_app(app_label: str) -> None:
    """Keep every table of an app from reports."""
    _hidden_apps.add(app_label)


def hide(table: str, *columns: str) -> None:
    """Keep columns of a table from reports; without any, the whole table."""
    _hidden[table] = _hidden.get(table, frozenset()) | frozenset(columns or {"*"})


def privileges_of_site(table: str) -> tuple[str, ...]:
    """Return what the site's role may do with a table."""
    return _site.get(table, EVERYTHING)


def readable_columns(table: str, columns: list[str]) -> list[str]:
    """Return the columns that reports may read."""
    if _SECRET_TABLE.search(table) or table in _tables_of_hidden_apps():
        return []
    hidden = _hidden.get(table, frozenset())
    if "*" in hidden:
        return []
    return [name for name in columns if name not in hidden and not _SECRET_COLUMN.search(name)]


def _tables_of_hidden_apps() -> set[str]:
    return {
        model._meta.db_table
        for app_label in _hidden_apps
        for model in apps.get_app_config(app_label).get_models(include_auto_created=True)
    }
