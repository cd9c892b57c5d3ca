"""Changes that this process makes to users count in it at once; triggers tell the others."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models.signals import post_delete, post_save

from accounts.models import User
from accounts.sessions.entries import USER_FIELDS
from accounts.sessions.memory import memory
from databases.transactions import after_commit

_JUDGED = frozenset({*USER_FIELDS, "password"}) - {"updated_at"}


def connect() -> None:
    """Listen to the models' signals."""
    post_save.connect(_saved, sender=User, dispatch_uid="accounts.sessions.user_saved")
    post_delete.connect(_deleted, sender=User, dispatch_uid="accounts.sessions.user_deleted")


def _saved(
    instance: User, *, created: bool, update_fields: Collection[str] | None = None, **_: Any
) -> None:
    if not created and (update_fields is None or not _JUDGED.isdisjoint(update_fields)):
        _hear(str(instance.pk))


def _deleted(instance: User, **_: Any) -> None:
    _hear(str(instance.pk))


def _hear(user_id: str) -> None:
    memory.hear(user_id)
    after_commit("accounts", lambda: memory.hear(user_id))
