"""Sign somebody up. Whoever asks gets the same answer, whether the address is taken or not."""

from __future__ import annotations

import datetime as dt

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import check_password, is_password_usable, make_password
from django.contrib.auth.password_validation import validate_password
from django.db import IntegrityError, transaction

from accounts import events
from accounts.mailing.queueing import queue_mail
from accounts.models import PendingMail, User
from accounts.querysets import UserQuerySet
from databases.placement import alias_of
from databases.transactions import atomic_for


def register(
    *,
    email: str,
    password: str,
    first_name: str = "",
    last_name: str = "",
    origin: str,
    client: str = "",
) -> None:
    """Make an account that signs in once its address is confirmed, and send a letter.

    Where the address is taken, nothing changes, and the letter tells its owner so. The answer and
    the work are the same: one password is hashed or compared, whoever has the address, and what the
    letter says is decided when the workers send it.

    Where it waits for its confirmation and another password was given then, neither counts: one of
    the two may be somebody else's, who waits for the other to confirm. The letter has whoever reads
    it set a new one.

    :param origin: scheme and host for the links in the letter.
    :param client: the address of the device.
    :raises django.core.exceptions.ValidationError: for a password that is too easy to guess.
    """
    email = email.strip().lower()
    validate_password(password, User(email=email, first_name=first_name, last_name=last_name))
    waits = _unconfirmed(email)
    given_before = waits.values_list("password", flat=True).first()
    hashed = make_password(password) if given_before is None else ""
    same = given_before is not None and check_password(password, given_before)
    with atomic_for("accounts"):
        if not User.objects.with_email(email).exists():
            # One that waited is gone in this moment: signing up once more will do.
            if hashed:
                new = User(email=email, first_name=first_name, last_name=last_name, password=hashed)
                _add(new, client)
        elif given_before is not None and is_password_usable(given_before) and not same:
            waits.filter(password=given_before).update(password=make_password(None))
        queue_mail(kind=PendingMail.Kind.SIGN_UP, address=email, origin=origin)


def remove_unconfirmed(*, older_than: dt.timedelta, at: dt.datetime) -> int:
    """Delete accounts that signed up long ago and never confirmed their address.

    Their addresses are free again: nobody holds another's address by never confirming it.

    :param at: now.
    :returns: how many accounts.
    """
    waiting = EmailAddress.objects.filter(verified=False, user__last_login=None)
    known = EmailAddress.objects.filter(verified=True)
    some = User.objects.filter(
        pk__in=waiting.values("user_id"), date_joined__lt=at - older_than, is_staff=False
    ).exclude(pk__in=known.values("user_id"))
    removed = 0
    for user in some.order_by("pk").iterator(chunk_size=500):
        user.delete()
        removed += 1
    return removed


def _unconfirmed(email: str) -> UserQuerySet:
    """Return the account of this address that nobody has proved to be theirs, if there is one."""
    addresses = EmailAddress.objects.values("user_id")
    found: UserQuerySet = (
        User.objects.filter(
            pk__in=addresses.filter(email=email, verified=False),
            email=email,
            last_login=None,
            is_staff=False,
        )
        .exclude(pk__in=addresses.filter(verified=True))
        .order_by()
    )
    return found


def _add(user: User, client: str) -> None:
    """Insert the user and the address that is to be confirmed; nothing where another was faster."""
    try:
        with transaction.atomic(using=alias_of("accounts")):
            user.save(force_insert=True)
            EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=False)
    except IntegrityError:
        return
    events.tell(events.SIGNED_UP, user_id=user.pk, client=client)
