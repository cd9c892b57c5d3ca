"""What becomes of the children of loose keys (`databases.loose`) when their parent is deleted.

A trigger on the parent's table records the deletion in its own transaction, whoever deletes: a
service, the admin, a cascade, raw SQL. Each app with children is a sink of its own, and applies
what its keys declare when its database is there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any, Final

from django.core import checks
from django.db import connections
from django.db.models import Model
from django.db.utils import Error

from databases.loose import CASCADE, KEEP, SET_NULL, LooseForeignKey, declared_keys
from databases.placement import alias_of
from databases.transactions import atomic_for
from outbox.events import Event
from outbox.recording import APP
from outbox.registry import Consumer, subscribe

AT_ONCE: Final = 500
"""Children of one transaction."""

_TRIGGERS: Final = """
SELECT relation.relname, told.tgargs
FROM pg_trigger AS told
JOIN pg_class AS relation ON relation.oid = told.tgrelid
JOIN pg_proc AS recorder ON recorder.oid = told.tgfoid
WHERE recorder.proname = 'outbox_record_change' AND told.tgenabled <> 'D'
  AND told.tgtype & 8 <> 0 AND pg_table_is_visible(relation.oid)
"""
_TABLES: Final = "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND pg_table_is_visible(oid)"


def aggregate_type_of(parent: type[Model]) -> str:
    """Return the aggregate type under which deletions of a parent are recorded: its table."""
    return parent._meta.db_table


def subscribe_children() -> None:
    """Have every app with loose keys told of deleted parents. Needs all models."""
    by_app: dict[str, list[LooseForeignKey]] = defaultdict(list)
    for key in declared_keys():
        by_app[key.model._meta.app_label].append(key)
    for app_label, keys in by_app.items():
        parents = frozenset(aggregate_type_of(key.parent) for key in keys)
        subscribe(
            Consumer(
                name=f"{app_label}.loose_keys",
                app_label=app_label,
                aggregate_types=parents,
                event_types=frozenset(f"{table}.deleted" for table in parents),
                handle=partial(_parents_went, keys),
            )
        )


def apply_rule(key: LooseForeignKey, ids: Collection[Any]) -> int:
    """Do what `key` declares to all children of parents that are gone, in small transactions.

    Can be repeated: what was done is found no more.

    :param ids: of the parents.
    :returns: how many rows were deleted or lost their id; 0 where they keep it.
    """
    if key.on_parent_delete is KEEP or not ids:
        return 0
    done = 0
    while children := _some_children(key, ids):
        apply_to(key, children, ids)
        done += len(children)
    return done


def apply_to(key: LooseForeignKey, children: Sequence[Any], ids: Collection[Any]) -> None:
    """Do what `key` declares to these children, in one transaction.

    :param children: their keys; one that got another parent meanwhile is left alone.
    :param ids: of the parents that are gone.
    """
    with atomic_for(key.model._meta.app_label):
        some = key.model._base_manager.filter(
            **{"pk__in": list(children), f"{key.name}__in": list(ids)}
        )
        if key.on_parent_delete is CASCADE:
            some.delete()
        elif key.on_parent_delete is SET_NULL:
            some.update(**{key.name: None})


def apply_to_late(rows: Iterable[Model]) -> None:
    """Do what the loose keys of new rows declare, as far as their parents are gone already."""
    by_model: dict[type[Model], list[Model]] = defaultdict(list)
    for row in rows:
        by_model[type(row)].append(row)
    for key in declared_keys():
        if key.model not in by_model or key.on_parent_delete is KEEP:
            continue
        late = {row.pk: getattr(row, key.attname) for row in by_model[key.model]}
        ids = set(late.values()) - {None}
        if ids and (gone := ids - still_there(key.parent, ids)):
            apply_to(key, [pk for pk, parent in late.items() if parent in gone], gone)


def still_there(parent: type[Model], ids: Iterable[Any]) -> set[Any]:
    """Return those of `ids` that the primary has now, whatever its replicas show."""
    rows = parent._base_manager.using(alias_of(parent._meta.app_label))
    return set(rows.filter(pk__in=list(ids)).values_list("pk", flat=True))


def _parents_went(keys: Sequence[LooseForeignKey], events: Sequence[Event]) -> None:
    gone: dict[str, list[str]] = defaultdict(list)
    for event in events:
        gone[event.aggregate_type].append(event.aggregate_id)
    for key in keys:
        ids = {key.to_python(text) for text in gone.get(aggregate_type_of(key.parent), ())}
        if ids and key.on_parent_delete is not KEEP:
            # One that is there again (restored, inserted anew) has its children back.
            apply_rule(key, ids - still_there(key.parent, ids))


def _some_children(key: LooseForeignKey, ids: Collection[Any]) -> list[Any]:
    app_label = key.model._meta.app_label
    rows = key.model._base_manager.using(alias_of(app_label)).order_by()
    found = rows.filter(**{f"{key.name}__in": list(ids)}).values_list("pk", flat=True)
    return list(found[:AT_ONCE])


# The check --------------------------------------------------------------------------------------


def register_checks() -> None:
    """Register the check of this module."""
    checks.register(deletions_are_recorded, checks.Tags.database)


def deletions_are_recorded(
    app_configs: Any = None, databases: Iterable[str] | None = None, **_kwargs: Any
) -> list[checks.CheckMessage]:
    """W002: a parent of loose keys whose deletions no trigger records for all of their apps.

    No error: it would stop the `migrate` that makes the trigger.
    """
    alias = alias_of(APP)
    if alias not in set(databases or ()) or connections[alias].vendor != "postgresql":
        return []
    wanted: dict[str, set[str]] = defaultdict(set)
    for key in declared_keys():
        wanted[aggregate_type_of(key.parent)].add(key.model._meta.app_label)
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute(_TABLES, [list(wanted)])
            made = {name for (name,) in cursor.fetchall()}
            cursor.execute(_TRIGGERS)
            told = _told(cursor.fetchall())
    except Error:  # a database that is away is another check's finding
        return []
    return [
        _untold(table, apps, missing)
        for table, apps in sorted(wanted.items())
        if table in made and (missing := apps - told[table])
    ]


def _told(triggers: Iterable[tuple[str, Any]]) -> defaultdict[str, set[str]]:
    """Return the apps that are told of each table's deletions."""
    told: defaultdict[str, set[str]] = defaultdict(set)
    for table, arguments in triggers:
        aggregate_type, _, sinks, *_ = bytes(arguments).decode().rstrip("\0").split("\0")
        if aggregate_type == table:
            told[table].update(sinks.split(","))
    return told


def _untold(table: str, apps: Collection[str], missing: Collection[str]) -> checks.Warning:
    listed = ", ".join(f'"{app}"' for app in sorted(apps))
    return checks.Warning(
        f"Deleted rows of {table!r} are not told to {', '.join(sorted(missing))}, which keeps "
        "loose keys to them.",
        hint="Migrate; where that does not help, a migration of the parent's app needs "
        f'outbox.triggers.tell_children(table="{table}", apps=[{listed}]).',
        id="outbox.W002",
    )
