"""Set a new password by a letter."""

from __future__ import annotations

import uuid

from allauth.account.models import EmailAddress
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator

from accounts import events
from accounts.mailing.queueing import queue_mail
from accounts.models import PendingMail, User
from accounts.passwords.changing import change_password
from accounts.registration.confirming import TokenInvalid
from databases.transactions import atomic_for


def ask_reset(*, address: str, origin: str) -> None:
    """Send a letter with a link to set a new password, where the address has an account.

    Nobody looks for the account before the workers do: the answer and its time tell nothing.

    :param origin: scheme and host of the link.
    """
    with atomic_for("accounts"):
        queue_mail(kind=PendingMail.Kind.RESET, address=address.strip().lower(), origin=origin)


def holder_of(token: str) -> User | None:
    """Return whose password this token may set, or None where it no longer works."""
    uid, _, key = token.partition("-")
    try:
        pk = uuid.UUID(hex=uid)
    except ValueError:
        return None
    user: User | None = User.objects.active().filter(pk=pk).first()
    return user if user is not None and default_token_generator.check_token(user, key) else None


def reset_password(*, token: str, new_password: str, origin: str, client: str = "") -> User:
    """Set a new password; the token works once, also where it is used twice at the same time.

    Who holds the token reads the mail of the address, which is thereby confirmed.

    :raises TokenInvalid: for a token that was used, has expired, or is none.
    :raises django.core.exceptions.ValidationError: for a password that is too easy to guess; the
        token still works then.
    """
    with atomic_for("accounts"):
        found = holder_of(token)
        if found is None:
            raise TokenInvalid("This link was used before, or has expired.")
        locked: User = User.objects.select_for_update(no_key=True).get(pk=found.pk)
        if holder_of(token) is None:  # while this one waited for the lock
            raise TokenInvalid("This link was used before, or has expired.")
        validate_password(new_password, locked)
        change_password(
            user=locked,
            new_password=new_password,
            origin=origin,
            client=client,
            what=events.PASSWORD_RESET,
        )
        EmailAddress.objects.filter(user_id=locked.pk, email=locked.email.lower()).update(
            verified=True, primary=True
        )
    return locked
