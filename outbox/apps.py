"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "outbox"
    verbose_name = "Outbox"

    def ready(self) -> None:
        """Count the queue, tell children of deleted parents, check, follow restores."""
        from databases.backup.listeners import after_restore
        from outbox import checks, loose_keys, metrics, restoring

        checks.register_all()
        metrics.connect()
        loose_keys.subscribe_children()
        loose_keys.register_checks()
        after_restore(restoring.LISTENER)
