"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class DocumentsConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "documents"
    verbose_name = "Documents"

    def ready(self) -> None:
        """Have rows that are only ever added accepted while their database is down."""
        from documents.models import DocumentActivity
        from outbox import spool

        spool.declare(DocumentActivity)
