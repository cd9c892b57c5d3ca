"""The vocabulary of user queries, and the manager that makes users."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import BaseUserManager
from django.db import models, transaction
from django.db.models import Value
from django.db.models.functions import Lower

from accounts.audit import acting

if TYPE_CHECKING:
    from accounts.models import Session, User


class UserQuerySet(models.QuerySet["User"]):
    """Questions about many users."""

    def active(self) -> Self:
        """Users who may sign in."""
        return self.filter(is_active=True)

    def staff(self) -> Self:
        """Active users who may open the admin."""
        return self.active().filter(is_staff=True)

    def with_email(self, email: str) -> Self:
        """The user with this address, however it is capitalised (served by the unique index)."""
        # The database lowers both sides: Python's rules differ outside ASCII.
        return self.alias(_email=Lower("email")).filter(_email=Lower(Value(email.strip())))

    def update(self, **kwargs: Any) -> int:
        """Update; where columns are audited, the audit trail's triggers learn first who acts."""
        if not acting.concerns(kwargs):
            return super().update(**kwargs)
        self._for_write = True  # as Django's own update does, so that `db` is where it writes
        with transaction.atomic(using=self.db):
            acting.tell(self.db)
            return super().update(**kwargs)


class UserManager(BaseUserManager.from_queryset(UserQuerySet)["User"]):  # type: ignore[misc] # a base made by a call
    """Makes users; passwords are hashed here and nowhere kept."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create an ordinary user; without a password, nobody signs in with one.

        :raises ValueError: for an empty address.
        :raises django.db.IntegrityError: where the address is taken, in any capitalisation.
        """
        return self._create(email, password, {"is_staff": False, "is_superuser": False, **fields})

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a user who may do everything in the admin."""
        return self._create(email, password, {"is_staff": True, "is_superuser": True, **fields})

    def get_by_natural_key(self, username: str | None) -> User:
        """Return the user with this address, in any capitalisation: `authenticate` asks here."""
        user: User = self.get_queryset().with_email(username or "").get()
        return user

    async def aget_by_natural_key(self, username: str | None) -> User:
        """Do the same for asynchronous callers."""
        user: User = await self.get_queryset().with_email(username or "").aget()
        return user

    def _create(self, email: str, password: str | None, fields: dict[str, Any]) -> User:
        if not email.strip():
            raise ValueError("A user needs an e-mail address.")
        user: User = self.model(email=self.normalize_email(email.strip()), **fields)
        user.password = make_password(password)
        user.save(using=self._db)
        return user


class SessionQuerySet(models.QuerySet["Session"]):
    """Questions about many sessions."""

    def current(self, *, at: datetime) -> Self:
        """Sessions that have not expired."""
        return self.filter(expires_at__gt=at)

    def expired(self, *, at: datetime) -> Self:
        """Sessions whose rows may go."""
        return self.filter(expires_at__lte=at)

    def of_user(self, user_id: UUID) -> Self:
        """The sessions in which somebody is signed in."""
        return self.filter(user_id=user_id)
