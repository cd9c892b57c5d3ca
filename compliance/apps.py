"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class ComplianceConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "compliance"
    verbose_name = "Compliance"

    def ready(self) -> None:
        """Keep an audit trail that nobody changes, also while its database is away; export it."""
        from accounts.leaving.forgetting import hold
        from compliance import projections, services
        from compliance.models import AuditRecord
        from databases.grants import declaring
        from outbox import spool

        declaring.hide_app(self.label)
        declaring.let_site(AuditRecord._meta.db_table, declaring.APPEND)
        projections.connect()
        spool.declare(AuditRecord)
        hold(services.HOLDER)
