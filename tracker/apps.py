"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class TrackerConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "tracker"
    verbose_name = "Tracker"

    def ready(self) -> None:
        """Have MongoDB show what is here, and users' points; forget who leaves."""
        from accounts.leaving.forgetting import hold
        from tracker import projections
        from tracker.services import leaving

        projections.connect()
        hold(leaving.HOLDER)
