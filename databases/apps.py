"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class DatabasesConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "databases"
    verbose_name = "Databases"

    def ready(self) -> None:
        """Register the checks and a lookup, let the causal state follow tasks, count and alert."""
        from databases import any_of, checks, metrics, propagation, totals
        from databases.alerts import watch

        checks.register_all()
        any_of.connect()
        propagation.connect()
        totals.connect()
        metrics.connect()
        watch.connect()
