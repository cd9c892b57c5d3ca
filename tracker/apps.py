"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class TrackerConfig(AppConfig):
    """What Django needs to know of this app."""

    name = "tracker"
    verbose_name = "Tracker"

    def ready(self) -> None:
        """Have MongoDB show todos, timers, friendships and reports, and users' points."""
        from tracker import projections

        projections.connect()
