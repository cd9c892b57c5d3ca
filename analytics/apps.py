"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "analytics"
    verbose_name = "Analytics"
