"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class ComplianceConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "compliance"
    verbose_name = "Compliance"
