"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class CommonConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "common"
    verbose_name = "Common"
