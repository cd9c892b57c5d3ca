"""Sessions."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now

from accounts.models.users import User
from accounts.querysets import SessionQuerySet
from common.ids import uuid7


class Session(models.Model):
    """A browser that the site knows: signed in, or with something to remember.

    While the row exists the session does. Triggers tell every process when one is deleted or
    changed, and delete those of a user who changes the password, is deactivated or deleted.
    """

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    # SHA-256 of the key in the cookie, in hexadecimal: whoever reads the row is not signed in.
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    # Without a constraint, so that whoever deletes a user with plain SQL can; a trigger follows.
    user = models.ForeignKey(
        User, on_delete=models.CASCADE, null=True, blank=True, db_constraint=False,
        related_name="sessions",
    )  # fmt: skip
    data = models.TextField(editable=False)
    version = models.PositiveIntegerField(
        default=0, editable=False, help_text="Rises with every change of the data."
    )
    device = models.CharField(max_length=60, blank=True, default="")
    network = models.CharField(
        max_length=50,
        blank=True,
        default="",
        help_text="Where it was signed in from: the first part of the address, not all of it.",
    )

    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_seen_at = models.DateTimeField(
        db_default=Now(), editable=False, help_text="Up to a minute old."
    )
    expires_at = models.DateTimeField()

    objects = SessionQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["expires_at"], name="accounts_session_expires")]

    def __str__(self) -> str:
        return f"{self.device or 'Unknown device'}, {self.created_at:%Y-%m-%d %H:%M}"
