"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "analytics"
    verbose_name = "Analytics"

    def ready(self) -> None:
        """Accept rows that are only ever added while their database is down; forget who leaves."""
        from accounts.leaving.forgetting import hold
        from analytics import services
        from analytics.models import ActivityEvent, BusinessMetric, PerformanceMetric
        from outbox import spool

        spool.declare(ActivityEvent, BusinessMetric, PerformanceMetric)
        hold(services.HOLDER)
