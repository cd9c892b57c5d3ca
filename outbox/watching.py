"""What beat does every few seconds: tell operators what is wrong, and keep a sample a minute."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from databases.alerts import raise_alert
from databases.placement import alias_of
from databases.probe import ProbeFailed
from outbox import figures, health, registry, shapes, thresholds
from outbox.figures import Figures
from outbox.models import QueueSample
from outbox.recording import APP
from outbox.thresholds import Finding

KEPT: Final = timedelta(hours=48)
"""How long samples are kept."""


def watch(*, at: datetime | None = None) -> list[Finding]:
    """Measure, raise alerts and their recoveries, and keep a sample; return what is wrong.

    While the primary does not answer nothing is said of its figures: that it is away is told
    already.
    """
    shapes.faults()  # notes projections that nobody knew
    try:
        found: Figures | None = figures.measure(timeout=5.0)
    except ProbeFailed:
        found = None
    p95_ms, _ = health.percentile()
    wrong = list(thresholds.findings(found, p95_ms))
    if found is not None:
        keep_sample(found, at=at or timezone.now())
        _tell_shapes(shapes.faults_in(found.shapes))
    by_code = {finding.code: finding for finding in wrong}
    for limits in thresholds.ALL:
        known = p95_ms is not None if limits is thresholds.P95 else found is not None
        if known:
            _tell(limits, by_code.get(limits.code))
    return wrong


def keep_sample(found: Figures, *, at: datetime) -> None:
    """Keep one sample a minute, and delete old ones."""
    samples = QueueSample.objects.using(alias_of(APP))
    samples.bulk_create(
        [
            QueueSample(
                minute=at.replace(second=0, microsecond=0),
                waiting=found.waiting,
                lag_seconds=found.lag_seconds,
                last_id=found.last_id,
                dead=found.dead,
                retrying=found.retried,
                paused=found.paused_at is not None,
            )
        ],
        ignore_conflicts=True,
    )
    samples.filter(minute__lt=at - KEPT).delete()


def _tell(limits: thresholds.Threshold, finding: Finding | None) -> None:
    """Raise the warning, or the critical alert beside it, and the recovery of each that is over."""
    severity = finding.severity if finding is not None else None
    message = finding.message if finding is not None else "It is below its limits again."
    if severity != "critical":  # while it is critical, the warning stays as it was told
        raise_alert(
            code=limits.code,
            severity="warning",
            title=limits.title if severity else f"Over: {limits.title.lower()}",
            detail=f"{message} {limits.remedy}" if severity else message,
            recovered=severity is None,
        )
    raise_alert(
        code=f"{limits.code}.critical",
        severity="critical",
        title=limits.title if severity == "critical" else f"No longer critical: {limits.title}",
        detail=f"{message} {limits.remedy}" if severity == "critical" else message,
        recovered=severity != "critical",
    )


def _tell_shapes(faults: Mapping[str, str]) -> None:
    for projection in registry.projections():
        fault = faults.get(projection.name)
        raise_alert(
            code=thresholds.REBUILD,
            severity="warning",
            title=f"The projection {projection.name} "
            + ("must be rebuilt" if fault else "has the shape that the code writes"),
            detail=f"It was {fault}." if fault else "Nothing is left to do.",
            store=projection.name,
            recovered=fault is None,
        )
