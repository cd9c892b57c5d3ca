"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class CustomersConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "customers"
    verbose_name = "Customers"

    def ready(self) -> None:
        """Forget who leaves."""
        from accounts.leaving.forgetting import hold
        from customers import services

        hold(services.HOLDER)
