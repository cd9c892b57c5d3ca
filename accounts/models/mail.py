"""Mail that is to be sent. The rows live until the mail server has taken them."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now

from accounts.models.users import User
from common.ids import uuid7


class PendingMail(models.Model):
    """What somebody is to be told by e-mail.

    The event in the outbox holds the id alone. Links with tokens are made when the mail is sent,
    so that no token is ever stored; and whoever asked never learns, not even by the time it took,
    whether the address is known.
    """

    class Kind(models.TextChoices):
        """What it is about."""

        SIGN_UP = "sign_up", "confirm a new account, or say that there is one"
        CONFIRM = "confirm", "confirm an address"
        RESET = "reset", "set a new password"
        PASSWORD_CHANGED = "password_changed", "the password was changed"
        ADDRESS_CHANGED = "address_changed", "the address was changed"
        DELETED = "deleted", "the account was deleted"

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    kind = models.CharField(max_length=20, choices=Kind.choices)
    address = models.EmailField(max_length=254)
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    origin = models.CharField(max_length=300, help_text="Scheme and host of the site's links.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["created_at"], name="accounts_mail_by_age")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}"
