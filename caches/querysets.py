"""The vocabulary of questions about data sets and zones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from caches.models import Dataset


class DatasetQuerySet(models.QuerySet["Dataset"]):
    """Questions about data set versions."""

    def of_program(self, program: str) -> Self:
        """Keep the versions of one program (`oz1`, `oz2`)."""
        return self.filter(program=program)

    def active(self) -> Self:
        """Keep the versions that answer look-ups now: at most one per program."""
        return self.filter(state=self.model.State.ACTIVE)

    def kept_for_rollback(self) -> Self:
        """Keep complete versions that do not answer now but could."""
        return self.filter(state__in=(self.model.State.READY, self.model.State.RETIRED))

    def unfinished(self) -> Self:
        """Keep the versions that somebody is building, or was building when they died."""
        return self.filter(state=self.model.State.BUILDING)

    def newest_first(self) -> Self:
        """Order by time of making; the ids sort by it."""
        return self.order_by("-id")


class RangedQuerySet(models.QuerySet[Any]):
    """Questions about rows that lie in a range of versions."""

    def of_program(self, program: str) -> Self:
        """Keep the rows of one program."""
        return self.filter(program=program)

    def in_version(self, dataset: Dataset) -> Self:
        """Keep the rows that lie in one version."""
        return self.filter(program=dataset.program, since__lte=dataset.sequence).filter(
            Q(until__isnull=True) | Q(until__gt=dataset.sequence)
        )

    def newest(self, program: str) -> Self:
        """Keep the rows that lie in the newest version of a program."""
        return self.filter(program=program, until__isnull=True)


class ZoneQuerySet(RangedQuerySet):
    """Questions about designated tracts."""

    def with_polygon(self) -> Self:
        """Keep the zones whose border is known."""
        return self.filter(geom__isnull=False)

    def without_polygon(self) -> Self:
        """Keep the zones that are designated and whose border is not known."""
        return self.filter(geom__isnull=True)
