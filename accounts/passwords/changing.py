"""Change the password of somebody who knows it."""

from __future__ import annotations

from allauth.account.models import EmailAddress
from django.contrib.auth.password_validation import validate_password

from accounts import events
from accounts.mailing.queueing import queue_mail
from accounts.models import PendingMail, User
from common.errors import PolystoreError
from databases.transactions import atomic_for


class PasswordWrong(PolystoreError):
    """The password that was given is not the present one."""

    code, status, title = "accounts.password_wrong", 403, "The password is wrong"
    remedy = "Type the password that you sign in with now; set a new one if you forgot it."


def require_password(user: User, password: str) -> None:
    """Return where `password` is the user's.

    :raises PasswordWrong: where it is not.
    """
    if not user.has_usable_password() or not user.check_password(password):
        raise PasswordWrong("This is not your present password.")


def change_password(
    *, user: User, new_password: str, origin: str, client: str = "", what: str = ""
) -> None:
    """Give the user another password, which ends every session but the one that the caller keeps.

    Another address that waits for its confirmation is forgotten: whoever knew the old password may
    have asked for it.

    :param user: who proved to be it; gets the new hash, for `update_session_auth_hash`.
    :param origin: scheme and host of the link in the letter that tells of it.
    :param what: the event; `events.PASSWORD_CHANGED` by default.
    :raises django.core.exceptions.ValidationError: for a password that is too easy to guess.
    :raises PasswordWrong: where the one that was proved is no longer the present one.
    """
    validate_password(new_password, user)
    proved = user.password
    user.set_password(new_password)
    with atomic_for("accounts"):
        now = User.objects.select_for_update(no_key=True).filter(pk=user.pk)
        if now.values_list("password", flat=True).first() != proved:
            raise PasswordWrong("Your password was changed a moment ago.")
        EmailAddress.objects.filter(user_id=user.pk, verified=False).exclude(
            email=user.email.lower()
        ).delete()
        user.save(update_fields=["password", "updated_at"])
        events.tell(what or events.PASSWORD_CHANGED, user_id=user.pk, client=client)
        queue_mail(
            kind=PendingMail.Kind.PASSWORD_CHANGED,
            address=user.email,
            origin=origin,
            user_id=user.pk,
        )
