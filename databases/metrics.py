"""Breakers, replicas and processes at this moment, for Prometheus, over all processes.

The same figures as on the admin's page: what processes publish to Redis. While Redis is away they
are those of the process that answers, and `polystore_processes` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from common.metrics import collect_from
from databases import overview
from databases.process_state import all_processes


class StoresCollector(Collector):
    """Asks for the published states once per exposition."""

    def collect(self) -> Iterable[Metric]:
        """Yield one family per figure."""
        processes = all_processes()
        seen = GaugeMetricFamily(
            "polystore_processes", "Processes that these figures speak for.", labels=["scope"]
        )
        seen.add_metric([processes.scope], len(processes.states))
        yield seen
        views = overview.by_store(processes)
        yield _breakers(views.values())
        yield from _replicas(views.values())

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: what is collected depends on the stores that are used."""
        return iter(())


def _breakers(views: Iterable[overview.StoreView]) -> Metric:
    family = GaugeMetricFamily(
        "polystore_breaker_open", "Processes whose breaker of the store is open.", labels=["store"]
    )
    for view in views:
        if view.breaker.known:
            family.add_metric([view.store], view.breaker.open)
    return family


def _replicas(views: Iterable[overview.StoreView]) -> Iterator[Metric]:
    families = {
        "lag_bytes": GaugeMetricFamily(
            "polystore_replica_lag_bytes", "WAL that the replica has yet to replay.",
            labels=["alias"],
        ),
        "lag_seconds": GaugeMetricFamily(
            "polystore_replica_lag_seconds", "For how long the replica has been behind.",
            labels=["alias"],
        ),
        "usable": GaugeMetricFamily(
            "polystore_replica_usable", "Processes that read from the replica.", labels=["alias"]
        ),
    }  # fmt: skip
    for view in views:
        if view.lag is not None:
            for name, family in families.items():
                family.add_metric([view.store], getattr(view.lag, name))
    yield from families.values()


def connect() -> None:
    """Add these figures to `/metrics`."""
    collect_from(StoresCollector())
