"""Who acts: kept for the request, and told to the primary before rows change that are audited.

Triggers (migration 0031) record changes of passwords, rights and roles, whoever makes them. They
cannot know who that is, so those who change such rows say it first, for their transaction alone.
What nobody said is recorded without an actor, with the name of the PostgreSQL role.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ipaddress import ip_network
from typing import Any, Final

from django.contrib.auth.models import Group
from django.db import connections, router
from django.db.models.signals import m2m_changed, pre_delete, pre_save
from django.http import HttpRequest

from common import tracing
from common.middleware.proxies import parse_address

AUDITED: Final = frozenset({"email", "is_active", "is_staff", "is_superuser", "password"})
"""Columns of users whose changes the triggers record."""

_request: ContextVar[HttpRequest | None] = ContextVar("polystore_acting", default=None)


def begin(request: HttpRequest) -> Any:
    """Say that what follows works for this request; hand what is returned to `end`."""
    return _request.set(request)


def end(token: Any) -> None:
    """Forget the request."""
    _request.reset(token)


def concerns(fields: Iterable[str] | None) -> bool:
    """Tell whether a change of these columns is audited; None stands for all."""
    return fields is None or not AUDITED.isdisjoint(fields)


def tell(using: str) -> None:
    """Tell the open transaction who acts, for its triggers; outside of one, tell nothing."""
    if found := acting():
        _set(using, "polystore.acting", json.dumps(found))


@contextmanager
def rehashing(using: str) -> Iterator[None]:
    """Say that the password stays the same, and only its hash is made anew."""
    _set(using, "polystore.rehashed", "on")
    yield
    _set(using, "polystore.rehashed", "")


def _set(using: str, name: str, value: str) -> None:
    connection = connections[using]
    if connection.vendor == "postgresql" and connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config(%s, %s, true)", [name, value])


def acting() -> dict[str, str]:
    """Return who acts, from where, in which request; nothing outside requests."""
    request = _request.get()
    if request is None:
        return {}
    found = {
        "client": network_of(request.META.get("REMOTE_ADDR", "")) or "",
        "request_id": tracing.current_request_id(),
    }
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        found["actor_id"] = str(user.pk)
    return {name: value for name, value in found.items() if value}


def network_of(address: str) -> str | None:
    """Return the first address of the network that an address lies in: it tells places apart, not
    people. None for what is no address."""
    parsed = parse_address(address)
    if parsed is None:
        return None
    network = ip_network(f"{parsed}/{24 if parsed.version == 4 else 48}", strict=False)
    return str(network.network_address)


def connect(user_model: Any) -> None:
    """Tell before roles, rights and users change through Django's relations and deletions.

    :param user_model: the model of users.
    """
    for through in (
        user_model.groups.through,
        user_model.user_permissions.through,
        Group.permissions.through,
    ):
        m2m_changed.connect(_relation, sender=through, dispatch_uid=f"audit.{through.__name__}")
    pre_delete.connect(_row, sender=user_model, dispatch_uid="audit.deleted.User")
    connect_rows(Group)


def connect_rows(model: Any) -> None:
    """Tell before rows of this model are saved or deleted, which a trigger records."""
    pre_delete.connect(_row, sender=model, dispatch_uid=f"audit.deleted.{model.__name__}")
    pre_save.connect(_row, sender=model, dispatch_uid=f"audit.saved.{model.__name__}")


def _relation(sender: Any, action: str, using: str, **_: Any) -> None:
    if action.startswith("pre_"):
        tell(using)


def _row(sender: Any, using: str | None = None, **_: Any) -> None:
    tell(using or router.db_for_write(sender))
