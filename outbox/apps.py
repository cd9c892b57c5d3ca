"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "outbox"
    verbose_name = "Outbox"

    def ready(self) -> None:
        """Count the queue, and check what delivery needs."""
        from outbox import checks, metrics

        checks.register_all()
        metrics.connect()
