"""Django system checks: what would break over many databases is refused before it runs.

Judged by where apps are *declared* to live, so that a laptop with one database refuses what
production would refuse.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.core import checks
from django.db import connections
from django.db.models import Model

from databases import placement, placing
from databases.aliases import HOME_OF_APP, PRIMARY, declared_home
from databases.probe import ProbeFailed, ask, conninfo_of
from databases.source_checks import migrations_use_their_database, transactions_name_their_database

Message = checks.CheckMessage
RESERVED = 10
"""Connections that PostgreSQL keeps for superusers, backups and people with psql."""


def register_all() -> None:
    """Register every check of this module; Django ignores what it already knows."""
    checks.register(relations_stay_at_home, checks.Tags.models)
    checks.register(every_app_has_a_home, checks.Tags.models)
    checks.register(transactions_name_their_database, "databases")
    checks.register(migrations_use_their_database, "databases")
    checks.register(pools_without_max_age, "databases")
    checks.register(atomic_requests_on_the_primary_only, "databases")
    checks.register(environment_was_understood, "databases")
    checks.register(primary_is_configured, "databases", deploy=True)
    checks.register(pools_fit_the_servers, checks.Tags.database)
    checks.register(rows_are_reachable, checks.Tags.database)


def relations_stay_at_home(
    app_configs: Sequence[AppConfig] | None = None, **_kwargs: Any
) -> list[Message]:
    """E001, E002: no foreign key, many-to-many or generic relation crosses declared homes."""
    return [found for model in _models(app_configs) for found in crossing_relations(model)]


def crossing_relations(model: type[Model]) -> Iterator[Message]:
    """Yield a message for each relation of `model` whose other end lives elsewhere."""
    here = declared_home(model._meta.app_label)
    for field in [*model._meta.local_fields, *model._meta.local_many_to_many]:
        target = field.related_model
        if not field.is_relation or not isinstance(target, type):
            continue
        there = declared_home(target._meta.app_label)
        if there is not here:
            yield checks.Error(
                f"{field} crosses from {here.value!r} to {there.value!r}: no database can "
                "enforce it, and a join through it finds nothing.",
                hint="Use databases.loose.LooseForeignKey where the other row lives in the "
                "primary; elsewhere store its id in a UUIDField and look it up by a query.",
                obj=model,
                id="databases.E001",
            )
    for generic in model._meta.private_fields:
        if not isinstance(generic, GenericForeignKey | GenericRelation):
            continue
        ends = {here: "this model", PRIMARY: "content types"}
        if isinstance(generic, GenericRelation):
            target = generic.related_model
            ends[declared_home(target._meta.app_label)] = target._meta.label
        if len(ends) > 1:
            live = " and ".join(f"{what} in {home.value!r}" for home, what in ends.items())
            yield checks.Error(
                f"{model._meta.label}.{generic.name} is a generic relation, but of what it joins "
                f"live {live}.",
                hint="Store the other row's kind and id in fields of your own.",
                obj=model,
                id="databases.E002",
            )


def pools_without_max_age(app_configs: Any = None, **_kwargs: Any) -> list[Message]:
    """E003: a pool and persistent connections exclude each other; Django says so only when used."""
    return [
        checks.Error(
            f"The database {alias!r} has a pool and CONN_MAX_AGE.",
            hint="Leave CONN_MAX_AGE at 0: the pool keeps the connections.",
            id="databases.E003",
        )
        for alias, entry in connections.settings.items()
        if entry["OPTIONS"].get("pool") and entry.get("CONN_MAX_AGE", 0) != 0
    ]


def every_app_has_a_home(
    app_configs: Sequence[AppConfig] | None = None, **_kwargs: Any
) -> list[Message]:
    """E004: an app with models that nobody declared would land in the primary by accident."""
    homeless = sorted({model._meta.app_label for model in _models(app_configs)} - set(HOME_OF_APP))
    return [
        checks.Error(
            f"The app {label!r} has models and no home.",
            hint="Name its database in databases.aliases.HOME_OF_APP.",
            id="databases.E004",
        )
        for label in homeless
    ]


def atomic_requests_on_the_primary_only(app_configs: Any = None, **_kwargs: Any) -> list[Message]:
    """E005: ATOMIC_REQUESTS opens a transaction on every database that sets it, for every view."""
    return [
        checks.Error(
            f"The database {alias!r} sets ATOMIC_REQUESTS.",
            hint="Open transactions in services, with databases.transactions.atomic_for(app).",
            id="databases.E005",
        )
        for alias, entry in connections.settings.items()
        if entry.get("ATOMIC_REQUESTS") and alias != PRIMARY
    ]


def environment_was_understood(app_configs: Any = None, **_kwargs: Any) -> list[Message]:
    """W008: parameters of a database URL that mean nothing here."""
    configuration = getattr(settings, "DATABASE_CONFIGURATION", None)
    return [
        checks.Warning(
            warning,
            hint="Remove them from the URL.",
            id="databases.W008",
        )
        for warning in (configuration.warnings if configuration else ())
    ]


def primary_is_configured(app_configs: Any = None, **_kwargs: Any) -> list[Message]:
    """E009: without DATABASE_URL there is nothing to serve from."""
    if connections.settings[PRIMARY].get("POLYSTORE", {}).get("role") != "unconfigured":
        return []
    return [
        checks.Error(
            "DATABASE_URL is not set.",
            hint="Set it to the primary PostgreSQL's URL.",
            id="databases.E009",
        )
    ]


def pools_fit_the_servers(
    app_configs: Any = None, databases: Iterable[str] | None = None, **_kwargs: Any
) -> list[Message]:
    """W006: all processes with full pools must fit into the servers' max_connections."""
    wanted: dict[tuple[str, str], int] = defaultdict(int)
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for alias, entry in connections.settings.items():
        server = (str(entry.get("HOST")), str(entry.get("PORT")))
        if entry["OPTIONS"].get("pool"):  # a pooler bounds its connections to the server itself
            wanted[server] += entry["POLYSTORE"]["pool_max"] * settings.PROCESSES
        if alias in set(databases or ()):
            entries[server] = entry
    found: list[Message] = []
    for server, entry in entries.items():
        allowed = _max_connections(entry)
        if allowed is not None and wanted[server] > allowed - RESERVED:
            found.append(_too_many(entry, wanted[server], allowed))
    return found


def rows_are_reachable(
    app_configs: Any = None, databases: Iterable[str] | None = None, **_kwargs: Any
) -> list[Message]:
    """E007, W010, W013: rows lie where they are looked for, on databases that are configured."""
    if PRIMARY not in set(databases or ()) or not placement.refresh():
        return []
    return [
        (checks.Error if note.check.startswith("E") else checks.Warning)(
            note.text, hint=note.remedy, id=f"databases.{note.check}"
        )
        for note in placing.notes()
    ]


def _too_many(entry: dict[str, Any], wanted: int, allowed: int) -> Message:
    alias = entry["POLYSTORE"]["alias"]
    return checks.Warning(
        f"The pools of {settings.PROCESSES} processes may open {wanted} connections to the server "
        f"of {alias!r}, which allows {allowed} (of which {RESERVED} are kept for people).",
        hint="Lower <NAME>_POOL_MAX, set PROCESSES to what runs, or raise max_connections.",
        id="databases.W006",
    )


def _max_connections(entry: dict[str, Any]) -> int | None:
    try:
        ((text,),) = ask(conninfo_of(entry), "SHOW max_connections", timeout=2.0)
    except (ProbeFailed, ValueError):
        return None
    return int(text or 0) or None


def _models(app_configs: Sequence[AppConfig] | None) -> list[type[Model]]:
    chosen = apps.get_app_configs() if app_configs is None else app_configs
    # Auto-created models (the tables between many-to-many ends) are judged at their field.
    return [model for config in chosen for model in config.get_models()]
