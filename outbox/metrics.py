"""The queue at this moment, for Prometheus: asked of the primary at each exposition, bounded."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from django.db.utils import Error
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from common.errors import PolystoreError
from common.metrics import collect_from
from outbox import queue

logger = logging.getLogger("outbox.metrics")


class QueueCollector(Collector):
    """Asks once per exposition; while the primary is away there are no figures."""

    def collect(self) -> Iterable[Metric]:
        """Yield one family per figure."""
        size = GaugeMetricFamily(
            "polystore_outbox_queue", "Events that wait, retries included.", labels=["sink"]
        )
        oldest = GaugeMetricFamily(
            "polystore_outbox_oldest_seconds", "How long the oldest event waits.", labels=["sink"]
        )
        dead = GaugeMetricFamily(
            "polystore_outbox_dead", "Dead letters that nobody has put back.", labels=["sink"]
        )
        try:
            found = queue.figures()
        except (Error, PolystoreError) as error:
            logger.warning("outbox.queue.unknown", extra={"reason": type(error).__name__})
            return
        for one in found:
            size.add_metric([one.sink], one.waiting)
            oldest.add_metric([one.sink], one.oldest_seconds)
            dead.add_metric([one.sink], one.dead)
        yield from (size, oldest, dead)

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: what is collected depends on the sinks that are used."""
        return iter(())


def connect() -> None:
    """Add these figures to `/metrics`."""
    collect_from(QueueCollector())
