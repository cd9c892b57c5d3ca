"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class MessagingConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "messaging"
    verbose_name = "Messaging"

    def ready(self) -> None:
        """Have MongoDB show group messages and conversations, and get what PostgreSQL took."""
        from accounts.leaving.forgetting import hold
        from databases import health
        from databases.grants import declaring
        from messaging import projections
        from messaging.queries import overview
        from messaging.services import leaving

        for table in ("messaging_directmessage", "messaging_groupmessage"):
            declaring.hide(table, "content", "file_url")
        projections.connect()
        hold(leaving.HOLDER)
        health.tell_of("messaging", overview.for_health)
