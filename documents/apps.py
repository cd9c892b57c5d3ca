"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class DocumentsConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "documents"
    verbose_name = "Documents"
