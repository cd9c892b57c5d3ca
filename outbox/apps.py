"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "outbox"
    verbose_name = "Outbox"

    def ready(self) -> None:
        """Count the queue, tell children of deleted parents, and check what all of it needs."""
        from outbox import checks, loose_keys, metrics

        checks.register_all()
        metrics.connect()
        loose_keys.subscribe_children()
        loose_keys.register_checks()
