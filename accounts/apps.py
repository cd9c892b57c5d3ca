"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Subscribe copies, letters, sessions, roles, leavers and the audit trail."""
        from allauth.mfa.models import Authenticator

        from accounts import projections
        from accounts.audit import acting
        from accounts.leaving import own
        from accounts.mailing import delivery
        from accounts.models import User
        from accounts.roles import groups
        from accounts.second_step import keeping
        from accounts.sessions import changes, origin
        from accounts.sign_in import telling

        acting.connect(User)
        acting.connect_rows(Authenticator)
        projections.connect()
        delivery.connect()
        changes.connect()
        origin.connect()
        keeping.connect()
        telling.connect()
        groups.connect()
        own.register()
