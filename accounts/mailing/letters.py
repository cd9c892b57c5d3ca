"""Write the letter that a row asks for, or none where nobody is to be told anything."""

from __future__ import annotations

from typing import Any, Final

from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import PendingMail, User

Kind = PendingMail.Kind
_TAKEN: Final = "taken"
_NOTICES: Final = frozenset({Kind.PASSWORD_CHANGED, Kind.ADDRESS_CHANGED, Kind.DELETED})


def letter_for(mail: PendingMail) -> EmailMessage | None:
    """Return the letter; None where the address has no account that it could be about."""
    found = _template_and_context(mail)
    if found is None:
        return None
    template, context = found
    text = render_to_string(
        f"accounts/mail/{template}.txt",
        {"site": settings.SITE_NAME, "origin": mail.origin, "address": mail.address, **context},
    ).strip()
    subject, _, body = text.partition("\n")
    return EmailMessage(
        subject=f"{settings.EMAIL_SUBJECT_PREFIX}{subject.strip()}",
        body=body.strip() + "\n",
        to=[mail.address],
        # Answering machines keep quiet.
        headers={"Auto-Submitted": "auto-generated"},
    )


def reset_token_for(user: User) -> str:
    """Return what lets its holder set a new password, once and for PASSWORD_RESET_TIMEOUT."""
    return f"{user.pk.hex}-{default_token_generator.make_token(user)}"


def _template_and_context(mail: PendingMail) -> tuple[str, dict[str, Any]] | None:
    if mail.kind in _NOTICES:
        return mail.kind, {"link": _link(mail, "account_reset_password")}
    user = _user_of(mail)
    if user is None or not user.is_active:
        return None
    unconfirmed = EmailAddress.objects.filter(
        user_id=user.pk, email=mail.address.lower(), verified=False
    ).first()
    # Where two signed up with it, with two passwords, whoever reads the letter has the say.
    contested = mail.kind == Kind.SIGN_UP and unconfirmed and not user.has_usable_password()
    if mail.kind == Kind.RESET or contested:
        uid, _, token = reset_token_for(user).partition("-")
        link = _link(mail, "account_reset_password_from_key", uidb36=uid, key=token)
        return Kind.RESET, {"link": link, "minutes": settings.PASSWORD_RESET_TIMEOUT // 60}
    if unconfirmed is not None:
        key = EmailConfirmationHMAC.create(unconfirmed).key
        return Kind.CONFIRM, {
            "link": _link(mail, "account_confirm_email", key=key),
            "days": settings.ACCOUNT_EMAIL_CONFIRMATION_EXPIRE_DAYS,
        }
    if mail.kind == Kind.SIGN_UP:
        links = {
            "link": _link(mail, "account_login"),
            "reset": _link(mail, "account_reset_password"),
        }
        return _TAKEN, links
    return None


def _user_of(mail: PendingMail) -> User | None:
    if mail.user_id is not None:
        return mail.user
    found: User | None = User.objects.with_email(mail.address).first()
    return found


def _link(mail: PendingMail, view: str, **arguments: str) -> str:
    return mail.origin + reverse(view, kwargs=arguments)
