"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class DocumentsConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "documents"
    verbose_name = "Documents"

    def ready(self) -> None:
        """Accept rows that are only ever added while their database is down; forget who leaves."""
        from accounts.leaving.forgetting import hold
        from documents import services
        from documents.models import DocumentActivity
        from outbox import spool

        spool.declare(DocumentActivity)
        hold(services.HOLDER)
