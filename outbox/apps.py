"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "outbox"
    verbose_name = "Outbox"

    def ready(self) -> None:
        """Count the queue, and begin a new epoch after every restore of the primary."""
        from databases.backup.listeners import after_restore
        from outbox import metrics, restoring

        metrics.connect()
        after_restore(restoring.LISTENER)
