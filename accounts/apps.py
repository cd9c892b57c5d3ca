"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Have MongoDB show users, letters be sent, sign-ins be told of, and leavers forgotten."""
        from accounts import projections
        from accounts.leaving import own
        from accounts.mailing import delivery
        from accounts.sign_in import telling

        projections.connect()
        delivery.connect()
        telling.connect()
        own.register()
