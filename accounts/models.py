"""Users and their sessions. The rows live in the primary and are never read from a replica."""

from __future__ import annotations

import uuid

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now

from accounts.querysets import SessionQuerySet, UserManager
from common.ids import uuid7


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in with an e-mail address."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    email = models.EmailField(
        "e-mail address",
        max_length=254,
        help_text="Signs in with it; capital and small letters are the same.",
    )
    first_name = models.CharField(max_length=150, blank=True, default="")
    last_name = models.CharField(max_length=150, blank=True, default="")

    is_active = models.BooleanField(
        "active",
        default=True,
        help_text="Clear this instead of deleting the user: history keeps its author.",
    )
    is_staff = models.BooleanField(
        "staff", default=False, help_text="May open the admin, as far as permissions go."
    )

    date_joined = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = UserManager()

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []

    class Meta:
        ordering = ["-date_joined"]
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                name="accounts_user_email_unique",
                violation_error_message="A user with this e-mail address exists already.",
            ),
            models.CheckConstraint(condition=~Q(email=""), name="accounts_user_email_given"),
        ]
        indexes = [
            models.Index(fields=["-date_joined"], name="accounts_user_joined"),
            models.Index(
                fields=["is_superuser"],
                condition=Q(is_staff=True),
                name="accounts_user_staff",
            ),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def name(self) -> str:
        """First and last name, or the part of the address before the @ where neither is known."""
        return f"{self.first_name} {self.last_name}".strip() or self.email.partition("@")[0]

    def get_full_name(self) -> str:
        """Return the name, as Django's admin asks for it."""
        return self.name

    def get_short_name(self) -> str:
        """Return what the admin greets with."""
        return self.first_name or self.name


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
