"""What follows when an app is set up or removed on the pages."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.flows.login import (
    AUTHENTICATION_METHODS_SESSION_KEY,
    get_authentication_records,
)
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added, authenticator_removed
from django.http import HttpRequest

from accounts.models import User
from accounts.second_step.checking import LAST, METHOD, current_period, note
from accounts.sessions.current import current_session
from accounts.sessions.services import end_other_sessions
from accounts.throttling import client_of


def connect() -> None:
    """Listen to allauth's signals."""
    authenticator_added.connect(_added, dispatch_uid="accounts.second_step_added")
    authenticator_removed.connect(_removed, dispatch_uid="accounts.second_step_removed")


def _added(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    """Let the code that set it up not sign in, too, and end sessions that never saw a code."""
    if authenticator.type != Authenticator.Type.TOTP:
        return
    authenticator.data[LAST] = current_period()
    authenticator.save(update_fields=["data"])
    note(request, user, authenticator)
    end_other_sessions(user_id=user.pk, keep=current_session(request), client=client_of(request))


def _removed(request: HttpRequest, user: User, **_: Any) -> None:
    """Let this session no longer count as one that passed the second step."""
    request.session[AUTHENTICATION_METHODS_SESSION_KEY] = [
        record
        for record in get_authentication_records(request, user)
        if record.get("method") != METHOD
    ]
