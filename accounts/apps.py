"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Subscribe what accounts does: copies, letters, sessions, sign-ins, leavers."""
        from accounts import projections
        from accounts.leaving import own
        from accounts.mailing import delivery
        from accounts.sessions import changes, origin
        from accounts.sign_in import telling

        projections.connect()
        delivery.connect()
        changes.connect()
        origin.connect()
        telling.connect()
        own.register()
