"""The zones at this moment, for Prometheus: age, coverage, and what processes hold in memory."""

from __future__ import annotations

import logging
from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from typing import Final

from django.db.utils import Error
from django.utils import timezone
from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from caches import stores
from caches.queries.status import VersionStatus, zones_status
from common.errors import PolystoreError
from common.metrics import collect_from

logger = logging.getLogger("caches.metrics")

ANSWERS: Final = Counter(
    "polystore_zones_answers", "Look-ups by result, and by what answered.", ["result", "origin"]
)


def gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    """Return an empty family of the zones."""
    return GaugeMetricFamily(f"polystore_zones_{name}", text, labels=labels)


class ZonesCollector(Collector):
    """Asks once per exposition; while the database is away there are no figures of it."""

    def collect(self) -> Iterable[Metric]:
        """Yield one family per figure."""
        yield _held()
        try:
            status = zones_status(at=timezone.now())
        except (Error, PolystoreError) as error:
            logger.warning("zones.figures.unknown", extra={"reason": type(error).__name__})
            return
        if status.connected:
            yield from _versions(status.versions)
            running = gauge("runs_under_way", "Seedings and refreshes.", "program")
            for run in status.seeding:
                running.add_metric([run.program], 1)
            yield running

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: what is collected depends on what is loaded."""
        return iter(())


def _held() -> Metric:
    family = gauge(
        "index_processes", "Processes by the generation in memory.", "program", "generation"
    )
    held = Tally(
        (program, str(generation))
        for worker in stores.published() or ()
        for program, generation in worker.generations.items()
    )
    for (program, generation), count in held.items():
        family.add_metric([program, generation], count)
    return family


def _versions(versions: Iterable[VersionStatus]) -> Iterator[Metric]:
    now = timezone.now()
    age = gauge("age_seconds", "Since the source was last compared.", "program")
    left = gauge("expires_in_seconds", "Until the data counts as expired.", "program")
    generation = gauge("generation", "The generation that answers.", "program")
    designated = gauge("designated", "Designated zones.", "program", "state")
    polygons = gauge("polygons", "Zones whose border is known.", "program", "state")
    for version in versions:
        generation.add_metric([version.program], version.generation)
        if version.verified_at is not None and version.expires_at is not None:
            age.add_metric([version.program], (now - version.verified_at).total_seconds())
            left.add_metric([version.program], (version.expires_at - now).total_seconds())
        for state, coverage in version.coverage.items():
            designated.add_metric([version.program, state], coverage.designated)
            polygons.add_metric([version.program, state], coverage.polygons)
    yield from (age, left, generation, designated, polygons)


def connect() -> None:
    """Add these figures to `/metrics`."""
    collect_from(ZonesCollector())
