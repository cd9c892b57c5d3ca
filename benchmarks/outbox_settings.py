"""The site as it ships, and one app of the benchmark's own, which subscribes to its events."""

from __future__ import annotations

from config.settings.base import *  # noqa: F403
from config.settings.base import INSTALLED_APPS as SHIPPED

INSTALLED_APPS = [*SHIPPED, "benchmarks.outbox_site.OutboxBenchmark"]
