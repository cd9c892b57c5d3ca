"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class CustomersConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "customers"
    verbose_name = "Customers"
