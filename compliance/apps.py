"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class ComplianceConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "compliance"
    verbose_name = "Compliance"

    def ready(self) -> None:
        """Have rows that are only ever added accepted while their database is down."""
        from compliance.models import AuditRecord
        from outbox import spool

        spool.declare(AuditRecord)
