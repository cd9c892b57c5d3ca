"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "outbox"
    verbose_name = "Outbox"

    def ready(self) -> None:
        """Count the queue, check what delivery needs, begin a new epoch after every restore."""
        from databases.backup.listeners import after_restore
        from outbox import checks, metrics, restoring

        checks.register_all()
        metrics.connect()
        after_restore(restoring.LISTENER)
