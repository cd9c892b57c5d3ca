"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class MessagingConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "messaging"
    verbose_name = "Messaging"

    def ready(self) -> None:
        """Have MongoDB show group messages and conversations, and get what PostgreSQL took."""
        from messaging import projections

        projections.connect()
