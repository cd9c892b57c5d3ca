"""What accounts itself keeps of people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.admin.models import LogEntry
from django.db.models import Q

from accounts.leaving.forgetting import hold
from accounts.leaving.registry import Holder, Leaver
from accounts.leaving.rows import delete_rows_of, rows_of
from accounts.models import Authorization, PendingMail, PersonalToken, Session, User
from outbox.forgetting import forget_texts

_FIELDS: Final = (
    "id", "email", "first_name", "last_name", "is_active", "is_staff", "date_joined", "last_login",
)  # fmt: skip


SECRETS: Final = ("checksum", "credentials")
"""Columns that nobody needs to see."""


def register() -> None:
    """Make known what accounts keeps."""
    hold(
        Holder(
            app_label="accounts",
            sections={
                "profile": _profile,
                "addresses": lambda user_id: rows_of(EmailAddress, "user_id", user_id=user_id),
                "connectedAccounts": lambda user_id: rows_of(
                    SocialAccount, "user_id", user_id=user_id
                ),
                "secondStep": lambda user_id: rows_of(
                    Authenticator, "user_id", user_id=user_id, without=("data",)
                ),
                "tokens": lambda user_id: rows_of(
                    PersonalToken, "user_id", user_id=user_id, without=SECRETS
                ),
                "applications": lambda user_id: rows_of(
                    Authorization, "user_id", user_id=user_id, without=SECRETS
                ),
                "sessions": lambda user_id: rows_of(
                    Session, "user_id", user_id=user_id, without=("key_hash", "data", "version")
                ),
                "adminLog": lambda user_id: rows_of(
                    LogEntry, "user_id", user_id=user_id, without=("change_message",)
                ),
            },
            forget=_forget,
        )
    )


def _profile(user_id: UUID) -> Iterator[Mapping[str, Any]]:
    yield from User.objects.filter(pk=user_id).values(*_FIELDS)


def _forget(leaver: Leaver) -> None:
    """Delete what signed in, and take the address out of the admin's log, letters and history."""
    PendingMail.objects.filter(address__in=leaver.addresses).exclude(
        kind=PendingMail.Kind.DELETED
    ).delete()
    about = Q(object_id=str(leaver.user_id))
    for address in leaver.addresses:
        about |= Q(object_repr__icontains=address) | Q(change_message__icontains=address)
    LogEntry.objects.filter(about).update(object_repr="(deleted)", change_message="")
    for model in (Authenticator, Session, PersonalToken, Authorization):
        delete_rows_of(model, "user_id", user_id=leaver.user_id)
    forget_texts(leaver.addresses)
