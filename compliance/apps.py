"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class ComplianceConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "compliance"
    verbose_name = "Compliance"

    def ready(self) -> None:
        """Accept rows that are only ever added while their database is down; export a person's."""
        from accounts.leaving.forgetting import hold
        from compliance import services
        from compliance.models import AuditRecord
        from outbox import spool

        spool.declare(AuditRecord)
        hold(services.HOLDER)
