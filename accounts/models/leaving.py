"""Accounts that are being deleted: what is still to be done, and where."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now

from common.ids import uuid7


class Leaving(models.Model):
    """A user who left. The addresses are kept only until every app has forgotten them."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    # The user's row goes before this one.
    user_id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(unique=True)
    addresses = models.JSONField(default=list)
    asked_at = models.DateTimeField(db_default=Now(), editable=False)
    done_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.user_id}"


class LeavingStep(models.Model):
    """One app that has forgotten a user."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    leaving = models.ForeignKey(Leaving, on_delete=models.CASCADE, related_name="steps")
    app_label = models.CharField(max_length=100)
    done_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["leaving", "app_label"], name="accounts_leaving_step_once"
            )
        ]

    def __str__(self) -> str:
        return self.app_label
