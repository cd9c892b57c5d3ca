"""Rows that stayed in the primary when their app was placed on another database.

    from databases.left_behind import left_behind

    left_behind(Document).filter(owner_id=user.pk)

They can be read, with the model's own vocabulary and along the relations within their app, and
never written.
"""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from databases import placement
from databases.aliases import PRIMARY
from databases.placement import LeftRowsStay

M = TypeVar("M", bound=Model)


def left_behind(model: type[M]) -> QuerySet[M]:
    """Return a read-only query set of the rows of `model` that were left in the primary.

    It is empty where none were left. Whoever tries to write through it, or to save one of its
    objects, gets a `databases.placement.LeftRowsStay`.
    """
    ordinary = model._default_manager.get_queryset()
    made: QuerySet[M] = type("LeftBehind", (_ReadOnly, type(ordinary)), {})(
        model=model, using=PRIMARY.value
    )
    return made if placement.has_left_rows(model._meta.app_label, on=PRIMARY) else made.none()


class _ReadOnly:
    """Refuses every method of a QuerySet that writes: they all ask for `db` in order to."""

    _for_write: bool
    model: type[Model]

    @property
    def db(self) -> str:
        if self._for_write:
            raise LeftRowsStay(self.model._meta.app_label)
        alias: str = super().db  # type: ignore[misc]
        return alias

    def _raw_delete(self, using: str) -> Any:
        raise LeftRowsStay(self.model._meta.app_label)
