"""The vocabulary of queries about bulk rows."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from workspace.models import ImportBatch, ReferenceRow, WorkspaceRow

UNFINISHED = ("pending", "running")
"""States of an import in which rows may still come."""


class ImportBatchQuerySet(models.QuerySet["ImportBatch"]):
    """Questions about many imports."""

    def unfinished(self) -> Self:
        """Those to which rows may still be added."""
        return self.filter(status__in=UNFINISHED)


class WorkspaceRowQuerySet(models.QuerySet["WorkspaceRow"]):
    """Questions about many imported rows."""

    def rejected(self) -> Self:
        """Those that did not pass."""
        return self.filter(status="rejected")

    def after(self, number: int) -> Self:
        """The rows behind this one, in the order of the file."""
        return self.filter(number__gt=number).order_by("number")


class ReferenceRowQuerySet(models.QuerySet["ReferenceRow"]):
    """Questions about many reference rows."""

    def of(self, catalog: str) -> Self:
        """The rows of one list, e.g. `naics`."""
        return self.filter(catalog=catalog)

    def valid(self, *, on: date) -> Self:
        """Those that hold on this day."""
        begun = self.filter(valid_from__lte=on)
        return begun.filter(Q(valid_to=None) | Q(valid_to__gt=on))
