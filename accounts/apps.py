"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Have MongoDB show users, the roles' groups filled, and the audit trail know who acts."""
        from accounts import projections
        from accounts.audit import acting
        from accounts.models import User
        from accounts.roles import groups

        acting.connect(User)
        projections.connect()
        groups.connect()
