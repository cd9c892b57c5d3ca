"""Tokens that people make for their own programs."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Final

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from accounts.models.oauth import CHECKSUM_LENGTH
from common.ids import uuid7

PERSONAL_PREFIX: Final = "pst_"
"""What personal tokens begin with, so that people and scanners of secrets recognise them."""
HINT_LENGTH: Final = len(PERSONAL_PREFIX) + 4


class PersonalToken(models.Model):
    """A token with which somebody's own program acts as them."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="personal_tokens"
    )
    name = models.CharField(max_length=100)
    hint = models.CharField(max_length=HINT_LENGTH)
    """Its first characters, by which its owner tells it from others."""
    checksum = models.CharField(max_length=CHECKSUM_LENGTH, unique=True)
    scopes = ArrayField(models.CharField(max_length=40))
    credentials = models.CharField(max_length=CHECKSUM_LENGTH)
    """As in `Authorization`: a new password ends the token."""
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    """To the minute."""

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")),
                name="accounts_personaltoken_expires_after_it_is_made",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    def is_live(self, at: datetime) -> bool:
        """Tell whether it is neither revoked nor expired; its owner is asked elsewhere."""
        return self.revoked_at is None and at < self.expires_at
