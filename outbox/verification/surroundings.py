"""What must hold beside the documents: the table, MongoDB, the queue, indexes, shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from django.db import connections

from databases.placement import alias_of
from databases.probe import ProbeFailed
from databases.stores import copies, mongo, versioned
from outbox import figures, shapes
from outbox.models import OutboxEvent
from outbox.recording import APP
from outbox.registry import Projection
from outbox.verification.report import Report

LONGEST_LAG: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    well: bool
    detail: str


def table() -> Finding:
    """Tell whether the outbox table is there."""
    connection = connections[alias_of(APP)]
    there = OutboxEvent._meta.db_table in connection.introspection.table_names()
    return Finding(
        name="outbox table",
        well=there,
        detail="it is there" if there else "it is missing: run manage.py migrate_all",
    )


def mongodb() -> Finding:
    """Tell whether MongoDB answers."""
    try:
        mongo.ping(timeout=5.0)
    except Exception as error:  # noqa: BLE001 - whatever it is, it does not serve
        return Finding(name="MongoDB", well=False, detail=f"no answer: {type(error).__name__}")
    return Finding(name="MongoDB", well=True, detail="it answers")


def queue() -> Iterator[Finding]:
    """Tell what waits, for how long, and what failed."""
    try:
        found = figures.measure(timeout=10.0)
    except ProbeFailed as failed:
        yield Finding(name="queue", well=False, detail=f"not measured: {failed.reason}")
        return
    paused = "; delivery is paused" if found.paused_at else ""
    yield Finding(
        name="lag",
        well=found.lag_seconds <= LONGEST_LAG,
        detail=f"{found.lag_seconds:.1f} s, {found.waiting:,} waiting{paused}",
    )
    yield Finding(name="dead letters", well=not found.dead, detail=f"{found.dead:,}")
    yield Finding(name="retries", well=not found.retried, detail=f"{found.retried:,}")


def of_projection(projection: Projection) -> Iterator[Finding]:
    """Tell whether its indexes are there, and its documents of the present shape."""
    wanted = [*projection.indexes, versioned.tombstone_index(projection.name)]
    missing = copies.missing_indexes(projection.name, wanted)
    listed = ", ".join(str([name for name, _ in index.keys]) for index in missing)
    yield Finding(
        name=f"indexes of {projection.name}",
        well=not missing,
        detail=f"missing {listed}: run manage.py ensure_mongo_indexes" if missing else "all there",
    )
    fault = shapes.fault_of(projection)
    yield Finding(
        name=f"shape of {projection.name}",
        well=not fault,
        detail=fault or f"version {projection.schema}",
    )


def counts(report: Report) -> Finding:
    """Tell whether there are as many documents as rows; for a comparison of everything.

    Rows that were written between the two readings are no fault: what differs was looked at again.
    """
    kinds = [difference.kind for difference in report.differences]
    off = sum(kinds.count(kind) for kind in ("missing", "extra", "tombstone"))
    return Finding(
        name=f"counts of {report.projection}",
        well=not off,
        detail=f"{report.rows:,} rows, {report.documents:,} documents, "
        f"{report.tombstones:,} tombstones",
    )


def first(projections: Sequence[Projection]) -> list[Finding]:
    """Look at everything but the documents; what cannot be asked is left out."""
    found = [table(), mongodb()]
    if found[0].well:
        found.extend(queue())
    if found[0].well and found[1].well:
        for projection in projections:
            found.extend(of_projection(projection))
    return found
