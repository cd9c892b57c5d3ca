"""Who may do what to whom."""

from __future__ import annotations

from typing import Any

from accounts.models import User
from common.errors import PolystoreError


class AboveYou(PolystoreError):
    """An operator may not do this, or not to this user."""

    code, status, title = "accounts.not_permitted", 403, "Not permitted"
    remedy = "Ask somebody who may: superusers give permissions in the admin."


def may_touch(actor: Any, user: User | None) -> bool:
    """Tell whether the actor stands above the user: only superusers touch others of the staff."""
    if user is None or actor.is_superuser or user.pk == actor.pk:
        return True
    return not (user.is_staff or user.is_superuser)


def require_permission(actor: Any, permission: str) -> None:
    """Return where the operator holds a permission of Django's, e.g. `accounts.change_user`.

    :raises AboveYou: where not.
    """
    if actor is None or not actor.has_perm(permission):
        raise AboveYou("You do not hold the permission that this needs.", permission=permission)


def require_touch(actor: Any, user: User) -> None:
    """Return where the actor may change this user.

    :raises AboveYou: for a superuser, unless the actor is one.
    """
    if not may_touch(actor, user):
        raise AboveYou("Only superusers change superusers.")
