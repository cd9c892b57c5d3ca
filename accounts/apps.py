"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Have MongoDB show users, and sessions know of sign-ins and of changes to users."""
        from accounts import projections
        from accounts.sessions import changes, origin

        projections.connect()
        changes.connect()
        origin.connect()
