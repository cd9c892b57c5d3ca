"""request.user without a query: the session that vouches for its user knows who that is."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib import auth
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.middleware import AuthenticationMiddleware as DjangosMiddleware
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.sessions.primary import user_of


class AuthenticationMiddleware(DjangosMiddleware):
    """Django's, with the user from the session's entry.

    It is a real User: what is not remembered of it (the password's hash, the last sign-in, groups
    and permissions) is queried when it is asked for.
    """

    def process_request(self, request: HttpRequest) -> None:
        """Put `user` and `auser` into the request."""
        super().process_request(request)
        request.user = SimpleLazyObject(lambda: _user(request))  # type: ignore[assignment]  # as Django does

        async def auser() -> Any:
            return await sync_to_async(_user)(request)

        request.auser = auser


def _user(request: Any) -> AbstractBaseUser | AnonymousUser:
    if not hasattr(request, "_cached_user"):
        request._cached_user = _vouched_for(request) or auth.get_user(request)
    found: AbstractBaseUser | AnonymousUser = request._cached_user
    return found


def _vouched_for(request: HttpRequest) -> AbstractBaseUser | None:
    session: Any = request.session
    entry = getattr(session, "entry", None)
    if entry is None or entry.user is None:
        return None
    # What this request has put into its session is for Django to judge.
    same = all(
        session.get(name) == entry.values.get(name)
        for name in (auth.SESSION_KEY, auth.BACKEND_SESSION_KEY, auth.HASH_SESSION_KEY)
    )
    return user_of(entry) if same else None
