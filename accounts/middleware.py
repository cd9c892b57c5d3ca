"""What wraps requests for the sake of accounts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.deprecation import MiddlewareMixin
from django.utils.http import urlencode

from accounts.audit import acting
from accounts.second_step.checking import has_passed, is_on
from common.middleware.base import Middleware

_OPEN = frozenset({"login/", "logout/", "jsi18n/"})
"""Pages of the admin that show nothing of it."""


class SecondStepOfStaff(MiddlewareMixin):
    """Opens /admin/ only to sessions that passed a second step, where the settings want it.

    Staff without one are led to the page that sets one up, and nobody is locked out.
    """

    def process_view(self, request: HttpRequest, view: Any, *_: Any) -> HttpResponse | None:
        """Lead elsewhere who has no second step, or has not passed it in this session."""
        if not settings.ADMIN_REQUIRES_TOTP:
            return None
        within, here = reverse("admin:index"), request.path_info
        if not here.startswith(within):
            return None
        user: Any = request.user
        if here.removeprefix(within) in _OPEN or not user.is_staff:
            return None
        if not is_on(user.pk):
            messages.warning(request, "The admin asks for a second step: set it up first.")
            return redirect("mfa_activate_totp")
        if has_passed(request):
            return None
        after = urlencode({REDIRECT_FIELD_NAME: request.get_full_path()})
        return redirect(f"{reverse('mfa_reauthenticate')}?{after}")


class KnownActor(Middleware):
    """Behind authentication: lets the audit trail know for which request a row is changed."""

    def before(self, request: HttpRequest) -> Any:
        """Remember the request; asks nothing."""
        return acting.begin(request)

    def after(
        self, request: HttpRequest, response: HttpResponseBase, kept: Any
    ) -> HttpResponseBase:
        """Forget it."""
        acting.end(kept)
        return response

    def given_up(self, kept: Any) -> None:
        """Forget it."""
        acting.end(kept)
