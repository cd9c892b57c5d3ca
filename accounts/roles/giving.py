"""Giving and taking roles. Triggers tell the audit trail, whoever does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.models import Group
from django.db import router, transaction

from accounts.roles.asking import roles_of
from accounts.roles.definitions import ROLES, Role
from common.errors import PolystoreError

if TYPE_CHECKING:
    from accounts.models import User


class UnknownRole(PolystoreError):
    """There is no role of that name."""

    code, status, title = "accounts.unknown_role", 404, "Unknown role"
    remedy = f"Roles are: {', '.join(ROLES)}."


def role_named(name: str) -> Role:
    """Return the role of that name.

    :raises UnknownRole: where there is none.
    """
    if name not in ROLES:
        raise UnknownRole(f"There is no role {name!r}.")
    return ROLES[name]


def give_role(*, user: User, name: str) -> bool:
    """Give the user a role, and with one of staff the admin's door.

    :returns: False for somebody who had it.
    :raises UnknownRole: for a name that is none.
    """
    role = role_named(name)
    with transaction.atomic(using=router.db_for_write(type(user))):
        had = user.groups.filter(name=name).exists()
        user.groups.add(Group.objects.get(name=name))
        if role.is_staff and not user.is_staff:
            user.is_staff = True
            user.save(update_fields=["is_staff", "updated_at"])
    _forget(user)
    return not had


def take_role(*, user: User, name: str) -> bool:
    """Take a role from the user; with the last one of staff, the admin's door closes.

    :returns: False for somebody who did not have it.
    :raises UnknownRole: for a name that is none.
    """
    role = role_named(name)
    with transaction.atomic(using=router.db_for_write(type(user))):
        had = user.groups.filter(name=name).exists()
        user.groups.remove(Group.objects.get(name=name))
        _forget(user)
        if had and role.is_staff:
            close_the_door(user)
    return had


def close_the_door(user: User) -> bool:
    """Let somebody who lost the last role of staff no longer open the admin.

    :returns: whether it was open; superusers keep it.
    """
    left = any(ROLES[name].is_staff for name in roles_of(user))
    if left or user.is_superuser or not user.is_staff:
        return False
    user.is_staff = False
    user.save(update_fields=["is_staff", "updated_at"])
    return True


def _forget(user: User) -> None:
    for remembered in ("_polystore_roles", "_perm_cache", "_user_perm_cache", "_group_perm_cache"):
        user.__dict__.pop(remembered, None)
