"""Users as MongoDB shows them: names and dates, no address and nothing that signs anybody in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from django.db import router
from django.db.models.signals import post_delete, post_save

from accounts.models import User
from databases.stores.mongo import Document, Index
from outbox.events import MONGODB
from outbox.registry import Projection, subscribe
from outbox.wake import hint_after_commit

SHOWN: Final = ("first_name", "last_name", "is_active", "date_joined")
"""The columns that documents are made of. The trigger of migration 0002 names the same."""


def load_users(ids: Sequence[str]) -> dict[str, Document]:
    """Return the documents of these users, in one query."""
    rows = _rows().filter(pk__any_of=ids).values_list("pk", *SHOWN)
    return {
        str(pk): {
            "name": f"{first} {last}".strip(),
            "first_name": first,
            "last_name": last,
            "is_active": active,
            "date_joined": joined,
        }
        for pk, first, last, active, joined in rows
    }


def page_of_user_ids(after: str | None, limit: int) -> list[str]:
    """Return the next ids of all users, rising."""
    rows = _rows() if after is None else _rows().filter(pk__gt=after)
    return [str(pk) for pk in rows.order_by("pk").values_list("pk", flat=True)[:limit]]


USERS: Final = Projection(
    name="users",
    aggregate_type="user",
    load=load_users,
    page=page_of_user_ids,
    indexes=[Index(collection="users", keys=[("name", 1), ("_id", 1)])],
)


def connect() -> None:
    """Subscribe, and have the workers told of changes; triggers record the events themselves."""
    subscribe(USERS)
    post_save.connect(_tell, sender=User, dispatch_uid="accounts.users_changed")
    post_delete.connect(_tell, sender=User, dispatch_uid="accounts.users_deleted")


def _rows() -> Any:
    return User.objects.using(router.db_for_write(User))


def _tell(update_fields: Collection[str] | None = None, **_: Any) -> None:
    if update_fields is None or not set(SHOWN).isdisjoint(update_fields):
        hint_after_commit(MONGODB)
