"""The groups that carry the roles, kept as `definitions` has them.

Note [When permissions exist]: Django makes permissions after it has migrated, one app after the
other, and `migrate_all` makes those of apps with a database of their own at its very end. So a
migration can make the groups (0030 does) but cannot fill them. They are filled after the last app's
permissions were made: by `migrate`, by `flush`, which empties the tables of tests, and by
`migrate_all`. What is right already costs three queries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.db import connections, transaction
from django.db.models.signals import post_migrate

from accounts.roles.definitions import ROLES, allows
from databases.aliases import PRIMARY
from databases.migration.described import models_described


def connect() -> None:
    """Fill the groups whenever permissions were made."""
    post_migrate.connect(_after_migrate, dispatch_uid="accounts.roles")
    models_described.connect(_after_all, dispatch_uid="accounts.roles")


def write_roles(*, using: str, apps: Any = installed) -> int:
    """Make the groups hold exactly what the definitions say.

    :param using: the database of groups and permissions.
    :param apps: the registry to take the models from: a migration's, or today's.
    :returns: how many permissions were given or taken.
    """
    group_model = apps.get_model("auth", "Group")
    permission_model = apps.get_model("auth", "Permission")
    through = group_model.permissions.through
    with transaction.atomic(using=using):
        wanted = _wanted(permission_model, using)
        groups = {group.name: group.pk for group in _groups(group_model, using)}
        held = defaultdict(set)
        rows = through.objects.using(using).filter(group_id__in=groups.values())
        for group, permission in rows.values_list("group_id", "permission_id"):
            held[group].add(permission)
        new = [
            through(group_id=pk, permission_id=permission)
            for name, pk in groups.items()
            for permission in wanted[name] - held[pk]
        ]
        surplus = [(pk, held[pk] - wanted[name]) for name, pk in groups.items()]
        changed = len(new) + sum(len(found) for _, found in surplus)
        if changed:
            with _defined(using):
                through.objects.using(using).bulk_create(new, ignore_conflicts=True)
                for pk, found in surplus:
                    if found:
                        rows.filter(group_id=pk, permission_id__in=found).delete()
    return changed


def _wanted(permission_model: Any, using: str) -> dict[str, set[int]]:
    wanted: dict[str, set[int]] = {name: set() for name in ROLES}
    known = permission_model.objects.using(using).values_list(
        "pk", "codename", "content_type__app_label", "content_type__model"
    )
    for pk, codename, app_label, model in known:
        for role in ROLES.values():
            if allows(role, app_label=app_label, model=model, codename=codename):
                wanted[role.name].add(pk)
    return wanted


def _groups(group_model: Any, using: str) -> Iterable[Any]:
    rows = group_model.objects.using(using).filter(name__in=list(ROLES))
    found = list(rows)
    if len(found) < len(ROLES):
        missing = set(ROLES) - {group.name for group in found}
        with _defined(using):
            group_model.objects.using(using).bulk_create(
                [group_model(name=name) for name in sorted(missing)], ignore_conflicts=True
            )
        found = list(rows.all())
    return found


@contextmanager
def _defined(using: str) -> Iterator[None]:
    """Have the triggers of the audit trail pass over what the code itself says roles may do."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('polystore.defined', 'on', true)")
        yield
        cursor.execute("SELECT set_config('polystore.defined', '', true)")


def _after_migrate(sender: AppConfig, using: str, apps: Any = installed, **_: Any) -> None:
    last = [config for config in installed.get_app_configs() if config.models_module][-1]
    if using != PRIMARY or sender.label != last.label:
        return
    try:
        apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    except LookupError:  # what was migrated knows no groups yet
        return
    write_roles(using=using)


def _after_all(using: str, **_: Any) -> None:
    write_roles(using=using)
