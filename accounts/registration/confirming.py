"""Prove that an address is one's own."""

from __future__ import annotations

from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from django.db import IntegrityError

from accounts import events
from accounts.mailing.queueing import queue_mail
from accounts.models import PendingMail, User
from accounts.services import require_row
from common.errors import PolystoreError
from databases.transactions import atomic_for


class TokenInvalid(PolystoreError):
    """The link was used before, has expired, or never was one of ours."""

    code, status, title = "accounts.token_invalid", 400, "This link no longer works"
    remedy = "Ask for a new one: each works once, and for a limited time."


def is_confirmed(user: User) -> bool:
    """Tell whether the user's address is confirmed, or somebody vouches for it.

    Operators and commands that make users vouch for their addresses: these have nothing to
    confirm until the address changes.
    """
    known = list(EmailAddress.objects.filter(user_id=user.pk).values_list("email", "verified"))
    if not known:
        EmailAddress.objects.get_or_create(
            user=user, email=user.email.lower(), defaults={"primary": True, "verified": True}
        )
        return True
    return (user.email.lower(), True) in known


def confirm_by_token(token: str, *, client: str = "") -> None:
    """Confirm the address that the letter with this token went to. Each works once.

    :raises TokenInvalid: for a token that was used, has expired, or is none.
    """
    found = EmailConfirmationHMAC.from_key(token)
    if found is None or not confirm(found.email_address.pk, client=client):
        raise TokenInvalid("This link was used before, or has expired.")


def confirm(address_id: int, *, client: str = "") -> bool:
    """Mark the address as confirmed; it becomes the one that signs in.

    :returns: whether it did; not where it was confirmed before or is somebody else's by now.
    """
    try:
        with atomic_for("accounts"):
            return _confirm(address_id, client)
    except IntegrityError:  # somebody else confirmed it in this moment
        return False


def send_again(*, address: str, origin: str) -> None:
    """Send the letter again, to an address that waits for its confirmation; else nothing.

    :param origin: scheme and host for the link.
    """
    with atomic_for("accounts"):
        queue_mail(kind=PendingMail.Kind.CONFIRM, address=address.strip().lower(), origin=origin)


def change_address(*, user: User, address: str, origin: str) -> None:
    """Have `address` become the user's as soon as it is confirmed by the letter that goes there.

    An address that somebody else has is taken like any other, and never gets that far.

    :raises UserNotFound: where the account is gone meanwhile.
    """
    address = address.strip().lower()
    if address == user.email.lower():
        return
    with atomic_for("accounts"):
        require_row(user)
        is_confirmed(user)
        EmailAddress.objects.filter(user_id=user.pk, verified=False).exclude(
            email=user.email.lower()
        ).delete()
        EmailAddress.objects.get_or_create(
            user=user, email=address, defaults={"primary": False, "verified": False}
        )
        taken = User.objects.with_email(address).exclude(pk=user.pk).exists()
        if not taken:
            queue_mail(
                kind=PendingMail.Kind.CONFIRM, address=address, origin=origin, user_id=user.pk
            )


def _confirm(address_id: int, client: str) -> bool:
    address = EmailAddress.objects.select_for_update().filter(pk=address_id, verified=False).first()
    if address is None:
        return False
    user = User.objects.select_for_update(no_key=True).get(pk=address.user_id)
    others = User.objects.with_email(address.email).exclude(pk=user.pk)
    if not user.is_active or others.exists():
        return False
    previous = user.email
    EmailAddress.objects.filter(user_id=user.pk).exclude(pk=address.pk).delete()
    address.verified = address.primary = True
    address.save()
    if previous.lower() != address.email:
        user.email = address.email
        user.save(update_fields=["email", "updated_at"])
        events.tell(events.EMAIL_CHANGED, user_id=user.pk, client=client)
        queue_mail(kind=PendingMail.Kind.ADDRESS_CHANGED, address=previous, origin="")
    events.tell(events.EMAIL_VERIFIED, user_id=user.pk, client=client)
    return True
