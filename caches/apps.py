"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class CachesConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "caches"
    verbose_name = "Opportunity zones and geocoding"

    def ready(self) -> None:
        """Count; forget who leaves."""
        from accounts.leaving.forgetting import hold
        from caches.queries import figures
        from caches.services import leaving

        figures.connect()
        hold(leaving.HOLDER)
