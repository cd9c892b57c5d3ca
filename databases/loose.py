"""References from another database to a row of the primary, where no foreign key can reach.

The column holds the parent's id. No database enforces it; the outbox does, after the fact: when
the parent is deleted, by whomever, the rule that the field declares is applied where the child
lives (`outbox.loose_keys`)::

    user_id = LooseForeignKey("accounts.User", on_parent_delete=SET_NULL, null=True, blank=True)
    get_user: GetParent

    event.get_user()                      # the user, or None when there is none; kept for the row
    load_loose(events, "user", "customer")  # one query each, for all rows
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from functools import cached_property, partialmethod
from typing import Any, Final, TypeAlias, TypeVar

from django.apps import apps
from django.core import checks, exceptions
from django.db import models
from django.db.models import Model, Q

from databases.aliases import PRIMARY, declared_home


class OnParentDelete(StrEnum):
    """What becomes of a child whose parent is deleted."""

    CASCADE = "cascade"
    SET_NULL = "set_null"
    KEEP = "keep"
    """It keeps the id, which then leads nowhere: for history that must not change."""


CASCADE: Final = OnParentDelete.CASCADE
SET_NULL: Final = OnParentDelete.SET_NULL
KEEP: Final = OnParentDelete.KEEP

AnyModel = TypeVar("AnyModel", bound=Model)
GetParent: TypeAlias = Callable[[], Any]
"""The type of `get_user` and the like, which models declare for type checkers."""

_SHAPE = ("max_length", "max_digits", "decimal_places", "db_collation")
_COUNTED: dict[str, type[models.Field[Any, Any]]] = {
    "AutoField": models.IntegerField,
    "SmallAutoField": models.SmallIntegerField,
    "BigAutoField": models.BigIntegerField,
}


class LooseForeignKey(models.Field[Any, Any]):
    """The id of a row of the primary, kept by a row of another database.

    It is named for its column, `user_id`; `get_user()` fetches the parent. The column has the type
    of the parent's key, and an index unless one of the model's own begins with it (`db_index=False`
    then).

    :param to: the parent, "app_label.Model"; it lives in the primary.
    :param on_parent_delete: CASCADE, SET_NULL (needs `null=True`) or KEEP.
    """

    description = "The id of a row in the primary"
    db_index: bool
    # What it says about deletion changes nothing in the database.
    non_db_attrs = (*models.Field.non_db_attrs, "on_parent_delete")

    def __init__(self, to: str, *, on_parent_delete: str, **options: Any) -> None:
        """Keep the declaration; the parent is looked up when it is needed."""
        self.to = to
        self.on_parent_delete = OnParentDelete(on_parent_delete)
        options.setdefault("db_index", True)
        super().__init__(**options)

    def deconstruct(self) -> Any:
        """Return what migrations write down."""
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("db_index", None)
        if not self.db_index:
            kwargs["db_index"] = False
        kwargs |= {"to": self.to, "on_parent_delete": self.on_parent_delete.value}
        return name, path, args, kwargs

    def contribute_to_class(
        self,
        cls: type[Model],
        name: str,
        private_only: bool = False,  # noqa: FBT001, FBT002 - Django's own signature
    ) -> None:
        """Give the model its `get_…()`."""
        super().contribute_to_class(cls, name, private_only=private_only)
        accessor = f"get_{self.short_name}"
        if accessor not in cls.__dict__:
            setattr(cls, accessor, partialmethod(_parent_of, field=self))

    @property
    def short_name(self) -> str:
        """`user` for `user_id`."""
        return self.name.removesuffix("_id")

    @property
    def parent(self) -> type[Model]:
        """The model of the parent.

        :raises LookupError: when there is none of that name.
        """
        return apps.get_model(self.to)

    @cached_property
    def _column(self) -> models.Field[Any, Any]:
        """A plain field of the type of the parent's key, which is asked about all values."""
        key: Any = self.parent._meta.pk
        while key.remote_field:  # a key that is itself a foreign key
            key = key.target_field
        kind: type[models.Field[Any, Any]] = _COUNTED.get(key.get_internal_type(), type(key))
        given = key.deconstruct()[3]
        return kind(**{name: given[name] for name in _SHAPE if name in given})

    # Values and columns ------------------------------------------------------------------------

    def db_type(self, connection: Any) -> str | None:
        """Return the type of the parent's key."""
        return self._column.db_type(connection)

    def cast_db_type(self, connection: Any) -> str | None:
        """Return the type to cast to."""
        return self._column.cast_db_type(connection)

    def db_check(self, connection: Any) -> str | None:
        """Return the check of the column type, as the parent's key has it."""
        return self._column.db_check(connection)

    def get_db_converters(self, connection: Any) -> Any:
        """Read values as the parent's key does."""
        return self._column.get_db_converters(connection)

    def to_python(self, value: Any) -> Any:
        """Return the id as Python has it.

        :raises django.core.exceptions.ValidationError: when it is none.
        """
        return self._column.to_python(value)

    def get_prep_value(self, value: Any) -> Any:
        """Prepare a value, for any database."""
        return self._column.get_prep_value(value)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:  # noqa: FBT001, FBT002 - Django's own signature
        """Prepare a value, for this database."""
        return self._column.get_db_prep_value(value, connection, prepared)

    def formfield(self, *args: Any, **kwargs: Any) -> Any:
        """Return the form field that the parent's key would have."""
        plain = self._column.formfield()
        assert plain is not None  # noqa: S101 - the types in _COUNTED stand in for those without
        return super().formfield(**{"form_class": type(plain), **kwargs})

    def validate(self, value: Any, model_instance: Model | None) -> None:
        """Refuse an id that leads nowhere, where the rule would not have let it stay.

        :raises django.core.exceptions.ValidationError: naming the kind of parent.
        """
        super().validate(value, model_instance)
        if value is None or self.on_parent_delete is KEEP:
            return
        if not self.parent._base_manager.filter(pk=value).exists():
            raise exceptions.ValidationError(
                f"There is no {self.parent._meta.verbose_name} with this id.", code="no_parent"
            )

    # Checks ------------------------------------------------------------------------------------

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """E020 to E023, W024: what the declaration gets wrong."""
        return [*super().check(**kwargs), *self._check_declaration()]

    def _check_declaration(self) -> Iterator[checks.CheckMessage]:
        try:
            parent = self.parent
        except (LookupError, ValueError):
            yield checks.Error(
                f"There is no model {self.to!r}.",
                hint='Name the parent as "app_label.Model".',
                obj=self,
                id="databases.E020",
            )
            return
        home = declared_home(parent._meta.app_label)
        if home is declared_home(self.model._meta.app_label):
            yield checks.Error(
                f"{self.to} lives in {home.value!r} like this model: the database itself can "
                "enforce the reference.",
                hint="Use models.ForeignKey.",
                obj=self,
                id="databases.E022",
            )
        elif home is not PRIMARY:
            yield checks.Error(
                f"{self.to} lives in {home.value!r}: only deletions in the primary are told.",
                hint="Keep the id in a plain field, and clean up by an event of your own.",
                obj=self,
                id="databases.E021",
            )
        if self.on_parent_delete is SET_NULL and not self.null:
            yield checks.Error(
                "on_parent_delete=SET_NULL on a column that cannot be null.",
                hint="Set null=True, or choose CASCADE or KEEP.",
                obj=self,
                id="databases.E023",
            )
        if self.on_parent_delete is not KEEP and not (self.db_index or self._leads_an_index()):
            yield checks.Warning(
                "No index begins with this column: each deletion of a parent would read the "
                "whole table.",
                hint="Leave db_index away, or let an index of Meta.indexes begin with it.",
                obj=self,
                id="databases.W024",
            )

    def _leads_an_index(self) -> bool:
        given = Q(**{f"{self.name}__isnull": False})
        known = [*self.model._meta.indexes, *self.model._meta.constraints]
        return any(
            getattr(index, "fields", ())[:1] in ([self.name], (self.name,))
            and getattr(index, "condition", None) in (None, given)
            for index in known
        )


def declared_keys() -> Iterator[LooseForeignKey]:
    """Yield every loose key of every model."""
    for model in apps.get_models():
        for field in model._meta.local_fields:
            if isinstance(field, LooseForeignKey):
                yield field


def load_loose(rows: Iterable[AnyModel], *names: str) -> list[AnyModel]:
    """Fetch the parents of many rows, one query per name, and keep them for `get_…()`.

    :param rows: instances of one model, or a query set of it.
    :param names: short names of loose keys: `user` for `user_id`.
    :returns: the rows.
    :raises LookupError: for a name that is no loose key of the model.
    """
    loaded = list(rows)
    if not loaded:
        return loaded
    for name in names:
        field = _key_of(type(loaded[0]), name)
        values = [field.to_python(getattr(row, field.attname)) for row in loaded]
        ids = set(values) - {None}
        parents = field.parent._base_manager.in_bulk(list(ids)) if ids else {}
        for row, value in zip(loaded, values, strict=True):
            _kept(row)[field] = (value, parents.get(value))
    return loaded


def _key_of(model: type[Model], name: str) -> LooseForeignKey:
    for field in model._meta.concrete_fields:
        if isinstance(field, LooseForeignKey) and name in {field.short_name, field.name}:
            return field
    raise LookupError(f"{model._meta.label} has no loose key {name!r}.")


def _parent_of(row: Model, *, field: LooseForeignKey) -> Model | None:
    """Return the parent of a row, or None when it has none (any more)."""
    value = field.to_python(getattr(row, field.attname))
    if value is None:
        return None
    known = _kept(row).get(field)
    if known is None or known[0] != value:
        known = _kept(row)[field] = (value, field.parent._base_manager.filter(pk=value).first())
    return known[1]


def _kept(row: Model) -> dict[Any, tuple[Any, Model | None]]:
    # Where Django keeps what it prefetched: `refresh_from_db()` forgets that, and so this.
    kept: dict[Any, Any] = row.__dict__.setdefault("_prefetched_objects_cache", {})
    return kept
