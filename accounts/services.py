"""What can be done to users."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.password_validation import validate_password
from django.db import IntegrityError, router, transaction

from accounts import events
from accounts.models import User
from accounts.queries import UserNotFound
from accounts.querysets import UserQuerySet
from common.errors import PolystoreError
from databases.transactions import atomic_for


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


def deactivate_users(*, users: UserQuerySet, at: datetime, actor_id: UUID | None = None) -> int:
    """Bar these users from signing in.

    :param at: now.
    :param actor_id: the operator who does it.
    :returns: how many were active until now.
    """
    return _set_active(users.filter(is_active=True), active=False, at=at, actor_id=actor_id)


def reactivate_users(*, users: UserQuerySet, at: datetime, actor_id: UUID | None = None) -> int:
    """Let these users sign in again.

    :param at: now.
    :param actor_id: the operator who does it.
    :returns: how many were not active until now.
    """
    return _set_active(users.filter(is_active=False), active=True, at=at, actor_id=actor_id)


def deactivate_account(*, user: User, at: datetime, client: str = "") -> None:
    """Bar one's own account; operators can open it again.

    :param at: now.
    :param client: the address of the device.
    """
    with atomic_for("accounts"):
        if User.objects.active().filter(pk=user.pk).update(is_active=False, updated_at=at):
            events.tell(events.DEACTIVATED, user_id=user.pk, client=client)


class AddressTaken(PolystoreError):
    """Another user has this address. Only operators are told so."""

    code, status, title = "accounts.address_taken", 409, "The address is taken"
    remedy = "Use another address, or change the user who has it."


def create_user(
    *,
    email: str,
    password: str | None,
    first_name: str = "",
    last_name: str = "",
    actor_id: UUID | None = None,
) -> User:
    """Make a user whose address the operator vouches for.

    :param password: None lets nobody sign in with one until it is set.
    :raises AddressTaken: in any capitalisation.
    :raises django.core.exceptions.ValidationError: for a password that is too easy to guess.
    """
    if password is not None:
        validate_password(password, User(email=email, first_name=first_name, last_name=last_name))
    try:
        with atomic_for("accounts"):
            made: User = User.objects.create_user(
                email, password, first_name=first_name, last_name=last_name
            )
            events.tell(events.SIGNED_UP, user_id=made.pk, actor_id=actor_id)
    except IntegrityError:
        raise AddressTaken("Another user has this address.") from None
    made.refresh_from_db()
    return made


def change_user(
    *,
    user: User,
    email: str | None = None,
    first_name: str | None = None,
    last_name: str | None = None,
    actor_id: UUID | None = None,
) -> User:
    """Change a user for an operator, who vouches for a new address; None leaves a part as it is.

    :raises AddressTaken: in any capitalisation.
    :raises UserNotFound: where the account is gone meanwhile.
    """
    changed = email is not None and email.lower() != user.email.lower()
    user.email = email if email is not None else user.email
    try:
        with atomic_for("accounts"):
            change_profile(user=user, first_name=first_name, last_name=last_name)
            user.save(update_fields=["email", "updated_at"])
            if changed:
                vouch_for_address(user=user, actor_id=actor_id)
    except IntegrityError:
        raise AddressTaken("Another user has this address.") from None
    return user


def vouch_for_address(*, user: User, actor_id: UUID | None = None) -> None:
    """Take the address that an operator gave a user for confirmed, and forget former ones.

    Call it in the transaction that changes the address.
    """
    EmailAddress.objects.filter(user_id=user.pk).delete()
    events.tell(events.EMAIL_CHANGED, user_id=user.pk, actor_id=actor_id)


def change_profile(
    *, user: User, first_name: str | None = None, last_name: str | None = None
) -> None:
    """Change a user's name; None leaves a part as it is.

    :raises UserNotFound: where the account is gone meanwhile.
    """
    if first_name is not None:
        user.first_name = first_name
    if last_name is not None:
        user.last_name = last_name
    with atomic_for("accounts"):
        require_row(user)
        user.save(update_fields=["first_name", "last_name", "updated_at"])


def _set_active(users: UserQuerySet, *, active: bool, at: datetime, actor_id: UUID | None) -> int:
    told = events.REACTIVATED if active else events.DEACTIVATED
    with atomic_for("accounts"):
        # A list that was sliced or joined cannot be locked: its keys can.
        ids = list(users.values_list("pk", flat=True))
        mine = User.objects.filter(pk__in=ids, is_active=not active).order_by("pk")
        changed = list(mine.select_for_update(no_key=True).values_list("pk", flat=True))
        User.objects.filter(pk__in=changed).update(is_active=active, updated_at=at)
        for user_id in changed:
            events.tell(told, user_id=user_id, actor_id=actor_id)
    return len(changed)


def require_row(user: User) -> None:
    """Hold the user's row until the open transaction ends.

    :raises UserNotFound: where it is gone.
    """
    if not lock_users([user.pk]):
        raise UserNotFound("This account is gone.")


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
