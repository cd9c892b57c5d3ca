"""Read and delete a person's rows, however many, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from django.db.models import Model, Q

from databases.placement import alias_of
from databases.transactions import atomic_for

AT_ONCE: Final = 500


def rows_of(
    model: type[Model], *columns: str, user_id: UUID, without: tuple[str, ...] = ()
) -> Iterator[Mapping[str, Any]]:
    """Yield the rows in which one of `columns` is this user, by key.

    :param without: fields that are nobody's business, or secret.
    """
    return rows_where(model, _any_of(columns, user_id), without=without)


def rows_where(
    model: type[Model], wanted: Q, *, without: tuple[str, ...] = ()
) -> Iterator[Mapping[str, Any]]:
    """Yield the rows that match, by key.

    :param without: fields that are nobody's business, or secret.
    """
    names = [one.name for one in model._meta.concrete_fields if one.name not in without]
    for keys in some_keys(model, wanted):
        yield from _rows(model).filter(pk__in=keys).order_by("pk").values(*names)


def delete_rows_of(model: type[Model], *columns: str, user_id: UUID) -> int:
    """Delete the rows in which one of `columns` is this user, in small transactions.

    :returns: how many.
    """
    deleted = 0
    for keys in some_keys(model, _any_of(columns, user_id)):
        with atomic_for(model._meta.app_label):
            deleted += _rows(model).filter(pk__in=keys).delete()[0]
    return deleted


def some_keys(model: type[Model], wanted: Q) -> Iterator[list[Any]]:
    """Yield the keys of the rows that match, AT_ONCE at a time, rising."""
    after: Any = None
    while True:
        rows = _rows(model).filter(wanted).order_by("pk")
        if after is not None:
            rows = rows.filter(pk__gt=after)
        keys = list(rows.values_list("pk", flat=True)[:AT_ONCE])
        if not keys:
            return
        yield keys
        after = keys[-1]


def _any_of(columns: tuple[str, ...], user_id: UUID) -> Q:
    wanted = Q()
    for column in columns:
        wanted |= Q(**{column: user_id})
    return wanted


def _rows(model: type[Model]) -> Any:
    return model._base_manager.using(alias_of(model._meta.app_label))
