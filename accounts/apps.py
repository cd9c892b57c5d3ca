"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Subscribe copies, letters, sessions, roles, leavers and the audit trail."""
        from accounts import projections
        from accounts.audit import acting
        from accounts.leaving import own
        from accounts.mailing import delivery
        from accounts.models import User
        from accounts.roles import groups
        from accounts.sessions import changes, origin
        from accounts.sign_in import telling

        acting.connect(User)
        projections.connect()
        delivery.connect()
        changes.connect()
        origin.connect()
        telling.connect()
        groups.connect()
        own.register()
