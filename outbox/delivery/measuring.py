"""What is counted of deliveries, for Prometheus."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Collection
from typing import Final

from prometheus_client import Counter, Histogram

from common.metrics import observe_many
from outbox.delivery.outcome import Results

LAG_SECONDS: Final = Histogram(
    "polystore_outbox_lag_seconds",
    "Time from an event's recording until its sink has it durably.",
    ["sink"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
DELIVERED: Final = Counter(
    "polystore_outbox_delivered", "Events that their sink has.", ["sink", "type"]
)
RETRIES: Final = Counter(
    "polystore_outbox_retries", "Events that failed and are tried again.", ["sink", "type"]
)
DEAD: Final = Counter(
    "polystore_outbox_dead_letters", "Events that were tried too often.", ["sink", "type"]
)
BATCHES: Final = Counter("polystore_outbox_batches", "Deliveries, of many events each.", ["sink"])


def count(sink: str, results: Results, *, buried: Collection[int], waited: float) -> None:
    """Count a batch that was settled.

    :param buried: ids of failed events that became dead letters.
    :param waited: seconds between its claim and the sink's acknowledgement.
    """
    BATCHES.labels(sink).inc()
    observe_many(
        LAG_SECONDS.labels(sink),
        # A retry's wait says nothing about how fast changes are seen.
        (one.age + waited for one in results.done if not one.attempts),
    )
    for event_type, many in Counts(one.type for one in results.done).items():
        DELIVERED.labels(sink, event_type).inc(many)
    for one, _ in results.failed:
        (DEAD if one.id in buried else RETRIES).labels(sink, one.type).inc()
