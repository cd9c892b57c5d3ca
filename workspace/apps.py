"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class WorkspaceConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "workspace"
    verbose_name = "Workspace"

    def ready(self) -> None:
        """Export what a person imported."""
        from accounts.leaving.forgetting import hold
        from workspace import services

        hold(services.HOLDER)
