"""What can be done to users."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db import router, transaction

from accounts.models import User
from accounts.querysets import UserQuerySet


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsuredAdmin:
    """What `ensure_admin` found or did."""

    user_id: UUID
    created: bool
    changed: bool
    """It was there, and its password or its rights were put right."""


def ensure_admin(*, email: str, password: str) -> EnsuredAdmin:
    """Make sure that an active superuser signs in with this address and password.

    A second call with the same arguments changes nothing.

    :raises ValueError: for an empty address.
    """
    with transaction.atomic(using=router.db_for_write(User)):
        user = User.objects.with_email(email).select_for_update().first()
        if user is None:
            made = User.objects.create_superuser(email, password)
            return EnsuredAdmin(user_id=made.pk, created=True, changed=False)
        changed = False
        # check_password may hash anew and save, which is no change that anybody asked for.
        if not user.check_password(password):
            user.set_password(password)
            changed = True
        if not (user.is_active and user.is_staff and user.is_superuser):
            user.is_active = user.is_staff = user.is_superuser = True
            changed = True
        if changed:
            user.save()
    return EnsuredAdmin(user_id=user.pk, created=False, changed=changed)


def deactivate_users(*, users: UserQuerySet, at: datetime) -> int:
    """Bar these users from signing in.

    :param at: now.
    :returns: how many were active until now.
    """
    return users.filter(is_active=True).update(is_active=False, updated_at=at)


def reactivate_users(*, users: UserQuerySet, at: datetime) -> int:
    """Let these users sign in again.

    :param at: now.
    :returns: how many were not active until now.
    """
    return users.filter(is_active=False).update(is_active=True, updated_at=at)


def lock_users(ids: Iterable[UUID]) -> frozenset[UUID]:
    """Hold these users' rows until the open transaction ends, one after the other by id.

    For apps that add to what MongoDB shows of users (`outbox.registry.extend`): whoever changes
    what they add locks the users first and then records their events, so that the events' order
    is that of the commits. References to users are not kept waiting.

    :returns: the users that exist.
    :raises django.db.transaction.TransactionManagementError: outside a transaction.
    """
    locked = (
        User.objects.using(router.db_for_write(User))
        .filter(pk__in=list(ids))
        .order_by("pk")
        .select_for_update(no_key=True)
    )
    return frozenset(locked.values_list("pk", flat=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPerson:
    """Somebody to create together with many others."""

    id: UUID
    email: str
    first_name: str
    last_name: str


def create_people(*, people: Sequence[NewPerson]) -> list[UUID]:
    """Create users who cannot sign in, many at once; for development and benchmarks.

    :returns: their ids.
    :raises django.db.IntegrityError: where an address is taken.
    """
    User.objects.bulk_create(
        User(
            id=person.id,
            email=person.email,
            first_name=person.first_name,
            last_name=person.last_name,
            password=UNUSABLE_PASSWORD_PREFIX,
        )
        for person in people
    )
    return [person.id for person in people]
