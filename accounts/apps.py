"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Have MongoDB show users, and the roles' groups filled."""
        from accounts import projections
        from accounts.roles import groups

        projections.connect()
        groups.connect()
