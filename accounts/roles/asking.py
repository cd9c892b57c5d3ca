"""Which roles a user has, and what follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings

from accounts.roles.definitions import CLOSED_APPS, ROLES, allows, names_app, scopes_of_roles
from common.access import ALL_SCOPES, CLOSED_SCOPES, USER_SCOPES, Scope

if TYPE_CHECKING:
    from accounts.models import User

_REMEMBERED = "_polystore_roles"


def roles_of(user: User) -> frozenset[str]:
    """Return the names of the user's roles. One query, remembered with the object."""
    found = getattr(user, _REMEMBERED, None)
    if found is None:
        names = user.groups.filter(name__in=list(ROLES)).values_list("name", flat=True)
        found = frozenset(names)
        setattr(user, _REMEMBERED, found)
    return found


def scopes_of(user: Any) -> frozenset[Scope]:
    """Return what the API lets this user do. No query for those who are no staff.

    Tokens hold a part of it: whoever makes one, or lets it in, takes the intersection.
    """
    if not user.is_active:
        return frozenset()
    if user.is_superuser:
        return ALL_SCOPES if settings.COMPLIANCE_SUPERUSERS else ALL_SCOPES - CLOSED_SCOPES
    if not user.is_staff:
        return USER_SCOPES
    return scopes_of_roles(sorted(roles_of(user)), is_staff=True)


def opens_closed_app(user: User, app_label: str) -> bool:
    """Tell whether a closed app is open to this user at all."""
    if not user.is_active:
        return False
    if user.is_superuser and settings.COMPLIANCE_SUPERUSERS:
        return True
    return user.is_staff and any(names_app(ROLES[name], app_label) for name in roles_of(user))


def may_in_closed_app(user: User, permission: str) -> bool:
    """Tell whether the user holds a permission of a closed app: by role, by nothing else.

    :param permission: `app_label.codename`.
    """
    app_label, _, codename = permission.partition(".")
    if not opens_closed_app(user, app_label):
        return False
    if user.is_superuser and settings.COMPLIANCE_SUPERUSERS:
        return True
    model = codename.partition("_")[2]
    return any(
        allows(ROLES[name], app_label=app_label, model=model, codename=codename)
        for name in roles_of(user)
    )


def is_closed(permission: str) -> bool:
    """Tell whether a permission (`app_label.codename`), or an app's label, is of a closed app."""
    return permission.partition(".")[0] in CLOSED_APPS
