"""What the multi-database machinery keeps in the primary."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Placement(models.Model):
    """The database where one app's rows live now, whatever the environment offers."""

    app_label = models.CharField(max_length=100, primary_key=True)
    alias = models.CharField(max_length=63)
    # Raised by every move, so that a process can tell a newer decision from its own.
    epoch = models.BigIntegerField(default=1)
    # True where an operator decided that older rows stay in the primary.
    left_existing = models.BooleanField(default=False)
    decided_at = models.DateTimeField(db_default=Now())

    class Meta:
        """One row per app."""

        ordering = ("app_label",)

    def __str__(self) -> str:
        """Return "documents on documents"."""
        return f"{self.app_label} on {self.alias}"
