"""What is counted, for Prometheus. Labels are bounded: routes and aliases, never ids or paths.

Under several processes (`PROMETHEUS_MULTIPROC_DIR`, set by config/gunicorn.py) counts are summed
over all of them, and each process samples its pools every few seconds.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from django.db.backends.postgresql.base import DatabaseWrapper
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from common import latency

SAMPLING_SECONDS: Final = 5.0
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUESTS: Final = Counter(
    "polystore_http_requests", "Answers by route, method and status.", ["route", "method", "status"]
)
REQUEST_SECONDS: Final = Histogram(
    "polystore_http_request_seconds",
    "Time from the first middleware to the finished answer.",
    ["route", "method"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
QUERY_SECONDS: Final = Histogram(
    "polystore_db_query_seconds",
    "Time that statements took, by alias.",
    ["alias"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0),
)
QUERY_ERRORS: Final = Counter("polystore_db_query_errors", "Statements that failed.", ["alias"])
CROSSINGS: Final = Counter(
    "polystore_cross_database", "Times that code crossed databases, by the guard's code.", ["code"]
)

COUNTED_TOGETHER: Final = 256
"""Statements whose durations wait to be put into the histogram in one go: a histogram's locks and
shared files would cost each of them several microseconds."""

_durations: dict[str, deque[float]] = {}


def observe_query(alias: str, seconds: float, *, failed: bool = False) -> None:
    """Count one statement on `alias` that took `seconds`. Called by the database backend."""
    waiting = _durations.get(alias)
    if waiting is None:
        waiting = _durations.setdefault(alias, deque())
        keep_sampling()
    waiting.append(seconds)
    if failed:
        QUERY_ERRORS.labels(alias).inc()
    if len(waiting) >= COUNTED_TOGETHER:
        count_queries()


def count_queries() -> None:
    """Put the durations that wait into the histogram."""
    for alias, waiting in list(_durations.items()):
        observe_many(QUERY_SECONDS.labels(alias), _taken(waiting))


def observe_many(child: Histogram, values: Iterable[float]) -> None:
    """Put many values into a histogram (with its labels given) for hardly more than one costs."""
    counts = [0] * len(child._buckets)
    total = 0.0
    for value in values:
        counts[bisect_left(child._upper_bounds, value)] += 1
        total += value
    # What Histogram.observe does for one.
    child._sum.inc(total)
    for bucket, count in zip(child._buckets, counts, strict=True):
        if count:
            bucket.inc(count)


def _taken(waiting: deque[float]) -> Iterator[float]:
    for _ in range(len(waiting)):
        try:
            yield waiting.popleft()
        except IndexError:  # another thread counts, too
            return


def observe_request(*, route: str, method: str, status: int, seconds: float) -> None:
    """Count one answer. `route` is the pattern that matched, not the path."""
    method = method if method in _METHODS else "other"
    REQUESTS.labels(route, method, str(status)).inc()
    REQUEST_SECONDS.labels(route, method).observe(seconds)
    latency.observe(route, seconds)


def exposition() -> bytes:
    """Return everything that is counted, in Prometheus' text format."""
    count_queries()
    for prepare in _preparations:
        prepare()
    if not several_processes():
        return generate_latest(REGISTRY)
    sample_pools()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    for collector in _collectors:
        registry.register(collector)
    return generate_latest(registry)


_preparations: list[Callable[[], None]] = []
_collectors: list[Collector] = []


def before_exposition(prepare: Callable[[], None]) -> None:
    """Call `prepare` before each exposition: it counts what waits to be counted."""
    _preparations.append(prepare)


def collect_from(collector: Collector) -> None:
    """Ask `collector` too, at each exposition, for what it knows of all processes."""
    _collectors.append(collector)
    if not several_processes():
        REGISTRY.register(collector)


def several_processes() -> bool:
    """Tell whether counts are kept in files that all processes of the site share."""
    return bool(os.environ.get("PROMETHEUS_MULTIPROC_DIR"))


# Pools ------------------------------------------------------------------------------------------

_POOL_GAUGES: Final = {
    "pool_size": ("polystore_db_pool_connections", "Connections that the pool holds open."),
    "pool_available": ("polystore_db_pool_idle", "Open connections that nobody uses."),
    "requests_waiting": ("polystore_db_pool_waiting", "Callers that wait for a connection."),
    "pool_max": ("polystore_db_pool_limit", "Connections that the pool may hold."),
}


def pool_stats() -> dict[str, dict[str, int]]:
    """Return psycopg's figures of every pool that this process has opened, by alias."""
    pools: dict[str, Any] = dict(DatabaseWrapper._connection_pools)  # type: ignore[attr-defined]
    return {alias: pool.get_stats() for alias, pool in pools.items()}


class PoolCollector(Collector):
    """Reads the pools at the moment of asking: exact, for a single process."""

    def collect(self) -> Iterable[Metric]:
        """Yield one family per figure."""
        stats = pool_stats()
        for figure, (name, text) in _POOL_GAUGES.items():
            family = GaugeMetricFamily(name, text, labels=["alias"])
            for alias, figures in stats.items():
                family.add_metric([alias], figures.get(figure, 0))
            yield family

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: what is collected depends on the pools that are open."""
        return iter(())


_gauges: dict[str, Gauge] = {}
if several_processes():
    _gauges = {
        figure: Gauge(name, f"{text} Live processes.", ["alias"], multiprocess_mode="livesum")
        for figure, (name, text) in _POOL_GAUGES.items()
    }
else:
    REGISTRY.register(PoolCollector())


def sample_pools() -> None:
    """Write this process's pools into the shared files."""
    for alias, figures in pool_stats().items():
        for figure, gauge in _gauges.items():
            gauge.labels(alias).set(figures.get(figure, 0))


_sampler_of: int = 0
_sampler_lock = threading.Lock()


def keep_sampling() -> None:
    """Start the sampling thread of this process, once; a child made by fork starts its own."""
    global _sampler_of  # noqa: PLW0603 - the one thread of the process
    if _sampler_of == os.getpid() or not several_processes():
        return
    with _sampler_lock:
        if _sampler_of == os.getpid():
            return
        _sampler_of = os.getpid()
        threading.Thread(target=_sample_forever, name="metrics-sampler", daemon=True).start()


def _sample_forever() -> None:
    pause = threading.Event()
    while not pause.wait(SAMPLING_SECONDS):
        sample_pools()
        count_queries()


# What waits was the parent's to count.
os.register_at_fork(after_in_child=_durations.clear)
