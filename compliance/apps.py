"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class ComplianceConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "compliance"
    verbose_name = "Compliance"

    def ready(self) -> None:
        """Keep an audit trail, and accept its records while their database is down."""
        from compliance import projections
        from compliance.models import AuditRecord
        from outbox import spool

        projections.connect()
        spool.declare(AuditRecord)
