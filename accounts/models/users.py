"""Users."""

from __future__ import annotations

import uuid
from contextlib import nullcontext
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import PermissionsMixin
from django.db import models, router, transaction
from django.db.models import Q
from django.db.models.functions import Lower, Now

from accounts.audit import acting
from accounts.querysets import UserManager
from accounts.roles import asking
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

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; where columns are audited, the audit trail's triggers learn first who acts."""
        fields = kwargs.get("update_fields")
        if self._state.adding or not acting.concerns(fields):
            super().save(*args, **kwargs)
            return
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        # Django makes a hash anew when its hasher has changed, and forgets the password before.
        rehashed = (
            fields is not None
            and list(fields) == ["password"]
            and getattr(self, "_password", None) is None
        )
        with transaction.atomic(using=using):
            acting.tell(using)
            with acting.rehashing(using) if rehashed else nullcontext():
                super().save(*args, **kwargs)

    # Rights: closed apps ask for the role alone, so that being a superuser opens none of them.

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Tell whether the user holds a permission, `app_label.codename`."""
        if asking.is_closed(perm):
            return asking.may_in_closed_app(self, perm)
        return super().has_perm(perm, obj)

    async def ahas_perm(self, perm: str, obj: Any = None) -> bool:
        """Do the same for asynchronous callers."""
        return await sync_to_async(self.has_perm)(perm, obj)

    def has_module_perms(self, app_label: str) -> bool:
        """Tell whether the user holds any permission of an app."""
        if asking.is_closed(app_label):
            return asking.opens_closed_app(self, app_label)
        return super().has_module_perms(app_label)

    async def ahas_module_perms(self, app_label: str) -> bool:
        """Do the same for asynchronous callers."""
        return await sync_to_async(self.has_module_perms)(app_label)

    def get_all_permissions(self, obj: Any = None) -> set[str]:
        """Return every permission that counts, each `app_label.codename`."""
        return {
            perm
            for perm in super().get_all_permissions(obj)
            if not asking.is_closed(perm) or asking.may_in_closed_app(self, perm)
        }
