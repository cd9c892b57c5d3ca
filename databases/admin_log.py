"""The admin's log of what staff did: written to the primary, never inside another transaction.

Note [When the admin's log is written]: Django's admin wraps a change in a transaction of the
model's database and writes its log inside it. Where the model lives in another database than the
log, that would hold one transaction open while the other database is written, and a change that is
rolled back would leave an entry about nothing. So the entry is written after the commit there; if
that fails, the change stands and the loss is logged. Where both are declared to live in the primary
and do, the entry belongs to the change's own transaction: both are kept, or neither is.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib import admin
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import router, transaction
from django.db.models import Model
from django.db.utils import Error as DatabaseFault

from databases.aliases import declared_home

if TYPE_CHECKING:
    from django.http import HttpRequest

logger = logging.getLogger("databases.admin")

AnyModel = TypeVar("AnyModel", bound=Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What the log will say of one object, taken down before the object is gone."""

    model: type[Model]
    object_id: str
    text: str
    action_flag: int
    user_id: Any
    message: str


class LoggedAdmin(admin.ModelAdmin[AnyModel]):
    """Keeps the log of every change: see Note [When the admin's log is written]."""

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> None:  # type: ignore[override] # nobody reads the entry
        """Log that `obj` was added."""
        self._log(request, [obj], ADDITION, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> None:  # type: ignore[override] # nobody reads the entry
        """Log that `obj` was changed."""
        self._log(request, [obj], CHANGE, message)

    def log_deletions(self, request: HttpRequest, queryset: Iterable[Model]) -> None:  # type: ignore[override] # nobody reads the entries
        """Log that the objects will be deleted; called while they are still there."""
        self._log(request, queryset, DELETION, "")

    def _log(
        self, request: HttpRequest, objects: Iterable[Model], action_flag: int, message: Any
    ) -> None:
        deeds = [
            Deed(
                model=type(obj),
                object_id=str(obj.pk),
                text=str(obj),
                action_flag=action_flag,
                user_id=request.user.pk,
                message=json.dumps(message) if isinstance(message, list) else str(message),
            )
            for obj in objects
        ]
        write(deeds, of=self.model)


def write(deeds: list[Deed], *, of: type[Model]) -> None:
    """Write the log of changes to `of`: see Note [When the admin's log is written]."""
    here = router.db_for_write(of)
    at_home = declared_home(of._meta.app_label) is declared_home(LogEntry._meta.app_label)
    if at_home and here == router.db_for_write(LogEntry):
        _write(deeds)
        return
    transaction.on_commit(partial(_write_or_say, deeds), using=here, robust=True)


def _write_or_say(deeds: list[Deed]) -> None:
    try:
        _write(deeds)
    except DatabaseFault:
        for deed in deeds:
            logger.exception(
                "admin.log.lost",
                extra={
                    "model": deed.model._meta.label_lower,
                    "object_id": deed.object_id,
                    "action_flag": deed.action_flag,
                    "user_id": str(deed.user_id),
                },
            )


def _write(deeds: list[Deed]) -> None:
    LogEntry.objects.bulk_create(
        [
            LogEntry(
                user_id=deed.user_id,
                content_type_id=ContentType.objects.get_for_model(
                    deed.model, for_concrete_model=False
                ).pk,
                object_id=deed.object_id,
                object_repr=deed.text[:200],
                action_flag=deed.action_flag,
                change_message=deed.message,
            )
            for deed in deeds
        ]
    )
