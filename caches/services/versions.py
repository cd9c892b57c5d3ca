"""Moving the pointer between versions, and removing those that nobody needs any more."""

from __future__ import annotations

import datetime as dt
import uuid

from django.db import router, transaction

from caches.models import Activation, Dataset
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
        Dataset.objects.using(using).of_program(program).kept_for_rollback().newest_first().first()
    )
    if earlier is None:
        raise NothingToRollBackTo(f"No other version of {program} is kept.")
    return activate(dataset=earlier, at=at)


def remove_old_versions(*, program: str) -> int:
    """Delete whole versions beyond those kept, and failed ones, and return how many went."""
    using = router.db_for_write(Dataset)
    versions = Dataset.objects.using(using).of_program(program)
    kept = versions.kept_for_rollback().newest_first().values_list("pk", flat=True)
    surplus = [
        *kept[VERSIONS_KEPT - 1 :],
        *versions.filter(state=Dataset.State.FAILED).values_list("pk", flat=True),
    ]
    for pk in surplus:
        remove_version(pk=pk)
    return len(surplus)


def remove_version(*, pk: uuid.UUID) -> None:
    """Delete one version with all its rows; the version that answers is protected."""
    using = router.db_for_write(Dataset)
    with transaction.atomic(using=using):
        dataset = Dataset.objects.using(using).get(pk=pk)
        # One statement per table; Django's collector would fetch every zone first.
        for rows in (dataset.parts, dataset.coverage, dataset.zones):
            rows.using(using).all()._raw_delete(using)
        dataset.delete(using=using)
