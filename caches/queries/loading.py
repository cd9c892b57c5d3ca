"""Reading the versions that answer from the database, for the index in memory."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final

from django.db import connections, router, transaction

from caches.models import Activation, CoverageArea, Dataset, Miss, Zone, ZonePart
from caches.queries.answers import Tract, Version
from caches.queries.index import Contents

CHUNK: Final = 1000


def pointers() -> Mapping[str, tuple[uuid.UUID, int]]:
    """Return the version and generation that answer for each program. One small query.

    :raises django.db.OperationalError: when the database does not answer.
    """
    rows = Activation.objects.order_by("program").values_list("program", "dataset", "generation")
    return {program: (dataset, generation) for program, dataset, generation in rows}


def read(program: str) -> Contents | None:
    """Return the version that answers for a program, all of it of one moment; None without one.

    :raises django.db.OperationalError: when the database does not answer.
    """
    using = router.db_for_read(Zone)
    with transaction.atomic(using=using):
        if connections[using].vendor == "postgresql":
            with connections[using].cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        pointer = (
            Activation.objects.using(using)
            .select_related("dataset")
            .filter(program=program)
            .first()
        )
        return None if pointer is None else _contents(pointer, using)


def version_of(pointer: Activation) -> Version:
    """Return what answers tell of the version that a pointer leads to."""
    dataset = pointer.dataset
    return Version(
        program=dataset.program,
        generation=pointer.generation,
        name=dataset.version,
        resolution=dataset.resolution,
        miss=Miss(dataset.miss),
        is_sample=dataset.is_sample,
        effective_from=dataset.effective_from,
        effective_to=dataset.effective_to,
        dataset_id=dataset.pk,
    )


def _contents(pointer: Activation, using: str) -> Contents:
    dataset = pointer.dataset
    halves = _halves(dataset, using)
    rows = (
        Zone.objects.using(using)
        .in_version(dataset)
        .order_by("geoid")
        .values_list("pk", "geom", "geoid", "state", "county", "tract_type")
        .iterator(chunk_size=CHUNK)
    )
    zones = []
    for pk, geom, *told in rows:
        parts = halves.get(pk) or (() if geom is None else (bytes(geom),))
        zones.append((Tract(*told), parts))
    areas = (
        CoverageArea.objects.using(using)
        .in_version(dataset)
        .order_by("pk")
        .values_list("miss", "geom")
        .iterator(chunk_size=CHUNK)
    )
    return Contents(
        version=version_of(pointer),
        zones=zones,
        areas=[(Miss(miss), bytes(geom)) for miss, geom in areas],
    )


def _halves(dataset: Dataset, using: str) -> Mapping[uuid.UUID, tuple[bytes, ...]]:
    """Return the parts of zones that are stored in parts: those across the antimeridian."""
    found: dict[uuid.UUID, tuple[bytes, ...]] = {}
    rows = (
        ZonePart.objects.using(using)
        .filter(geom__isnull=False, zone__in=Zone.objects.using(using).in_version(dataset))
        .order_by("zone", "part")
        .values_list("zone", "geom")
    )
    for zone, geom in rows:
        found[zone] = (*found.get(zone, ()), bytes(geom or b""))
    return found
