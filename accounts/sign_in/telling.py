"""Sign-ins and failures become events, wherever they happen: pages, the API, the admin."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest

from accounts import events
from accounts.models import User
from accounts.throttling import client_of
from databases.transactions import atomic_for


def connect() -> None:
    """Listen to Django's signals."""
    user_logged_in.connect(_signed_in, dispatch_uid="accounts.signed_in")
    user_logged_out.connect(_signed_out, dispatch_uid="accounts.signed_out")
    user_login_failed.connect(_failed, dispatch_uid="accounts.sign_in_failed")


def _signed_in(request: HttpRequest | None = None, user: User | None = None, **_: Any) -> None:
    if user is not None:
        _tell(events.SIGNED_IN, user, request)


def _signed_out(request: HttpRequest | None = None, user: User | None = None, **_: Any) -> None:
    if user is not None and user.pk is not None:
        _tell(events.SIGNED_OUT, user, request)


def _failed(
    credentials: dict[str, Any] | None = None, request: HttpRequest | None = None, **_: Any
) -> None:
    given = credentials or {}
    address = str(given.get("username") or given.get("email") or "")[:320]
    user = User.objects.with_email(address).only("pk").first() if "\0" not in address else None
    _tell(
        events.SIGN_IN_FAILED,
        user,
        request,
        # Tells tries at one address from tries at many, and names none.
        tried=events.fingerprint(address),
    )


def _tell(what: str, user: User | None, request: HttpRequest | None, **detail: Any) -> None:
    with atomic_for("accounts"):
        events.tell(
            what,
            user_id=user.pk if user is not None else None,
            client=client_of(request),
            page=_part_of_the_site(request),
            **detail,
        )


def _part_of_the_site(request: HttpRequest | None) -> str:
    """Return the part of the site where it happened: admin, api, account; "" for commands."""
    return request.path_info.strip("/").partition("/")[0][:20] if request is not None else ""
