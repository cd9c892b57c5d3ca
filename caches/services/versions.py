"""Moving the pointer between versions, and removing those that nobody needs any more."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import router, transaction
from django.db.models import QuerySet

from caches.models import Activation, CoverageArea, Dataset, Zone, ZonePart
from common.errors import PolystoreError

VERSIONS_KEPT = 2
"""Complete versions per program: the one that answers, and the one to roll back to."""


class VersionNotWhole(PolystoreError):
    """The version was not built to its end, or its zones are gone: it cannot answer."""

    code, status, title = "caches.version_not_whole", 409, "The version is not whole"
    remedy = "Choose a version that is ready or retired, or seed the zones anew."


class NothingToRollBackTo(PolystoreError):
    """There is no earlier version of the program."""

    code, status, title = "caches.nothing_to_roll_back_to", 409, "There is no earlier version"
    remedy = "Seed the zones from the source that you want."


def activate(*, dataset: Dataset, at: dt.datetime) -> Activation:
    """Make a whole version answer for its program from this moment, and retire the one before.

    One short transaction: a reader sees the old version or the new one, nothing between.

    :param at: the time of activation.
    :raises VersionNotWhole: when the version is not ready or retired.
    """
    using = router.db_for_write(Activation)
    with transaction.atomic(using=using):
        pointer = (
            Activation.objects.using(using)
            .select_for_update()
            .filter(program=dataset.program)
            .first()
        )
        new = Dataset.objects.using(using).select_for_update().get(pk=dataset.pk)
        if new.state == Dataset.State.ACTIVE and pointer is not None:
            return pointer
        if new.state not in {Dataset.State.READY, Dataset.State.RETIRED}:
            raise VersionNotWhole(f"Version {new.version} is {new.state}.")
        Dataset.objects.using(using).of_program(new.program).active().update(
            state=Dataset.State.RETIRED
        )
        Dataset.objects.using(using).filter(pk=new.pk).update(state=Dataset.State.ACTIVE)
        moved, _ = Activation.objects.using(using).update_or_create(
            program=new.program,
            defaults={
                "dataset": new,
                "generation": pointer.generation + 1 if pointer else 1,
                "activated_at": at,
            },
        )
    return moved


def roll_back(*, program: str, at: dt.datetime) -> Activation:
    """Make the newest kept version answer again.

    :raises NothingToRollBackTo: when only the version that answers now is kept.
    """
    using = router.db_for_write(Dataset)
    earlier = (
        Dataset.objects.using(using)
        .of_program(program)
        .kept_for_rollback()
        .order_by("-sequence")
        .first()
    )
    if earlier is None:
        raise NothingToRollBackTo(f"No other version of {program} is kept.")
    return activate(dataset=earlier, at=at)


def next_sequence(*, program: str, using: str) -> int:
    """Return the number of the version to build."""
    last = (
        Dataset.objects.using(using)
        .of_program(program)
        .order_by("-sequence")
        .values_list("sequence", flat=True)
        .first()
    )
    return (last or 0) + 1


def remove_unfinished(*, program: str) -> int:
    """Undo versions that were begun and never answered, and return how many.

    Nobody else may be building the program.
    """
    using = router.db_for_write(Dataset)
    unfinished = (
        Dataset.objects.using(using)
        .of_program(program)
        .filter(state__in=(Dataset.State.BUILDING, Dataset.State.READY, Dataset.State.FAILED))
        .order_by("-sequence")
    )
    for dataset in unfinished:
        with transaction.atomic(using=using):
            for model in (Zone, CoverageArea):
                rows = model._default_manager.using(using).filter(program=program)
                _delete(rows.filter(since=dataset.sequence), using)
                rows.filter(until=dataset.sequence).update(until=None)
            dataset.delete(using=using)
    return len(unfinished)


def remove_old_versions(*, program: str) -> int:
    """Delete whole versions beyond those kept, with what only they hold; return how many went."""
    using = router.db_for_write(Dataset)
    versions = Dataset.objects.using(using).of_program(program)
    with transaction.atomic(using=using):
        kept = versions.kept_for_rollback().order_by("-sequence").values_list("pk", flat=True)
        removed, _ = versions.filter(pk__in=list(kept[VERSIONS_KEPT - 1 :])).delete()
        oldest = versions.order_by("sequence").values_list("sequence", flat=True).first()
        if oldest is not None:
            for model in (Zone, CoverageArea):
                rows = model._default_manager.using(using).filter(program=program)
                _delete(rows.filter(until__lte=oldest), using)
    return removed


def _delete(rows: QuerySet[Any], using: str) -> None:
    """Delete rows in one statement per table; Django's collector would fetch them first."""
    if rows.model is Zone:
        ZonePart.objects.using(using).filter(zone__in=rows)._raw_delete(using)
    rows._raw_delete(using)
