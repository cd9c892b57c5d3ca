"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "analytics"
    verbose_name = "Analytics"

    def ready(self) -> None:
        """Have rows that are only ever added accepted while their database is down."""
        from analytics.models import ActivityEvent, BusinessMetric, PerformanceMetric
        from outbox import spool

        spool.declare(ActivityEvent, BusinessMetric, PerformanceMetric)
