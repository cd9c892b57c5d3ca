"""The admin's sign-in, with limits of its own: whoever tries the admin does not wait for others."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from allauth.account.utils import get_next_redirect_url
from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from unfold.forms import AuthenticationForm

from accounts.models import User
from accounts.second_step.checking import is_on
from accounts.throttling import Rule, client_of, spend


class _AsksForMore(Exception):
    """The password is right, and a code is to be asked for before anybody is signed in."""

    def __init__(self, user: User) -> None:
        super().__init__()
        self.user = user


class AdminSignInForm(AuthenticationForm):
    """The theme's form, which lets nobody in whose account asks for a code."""

    def confirm_login_allowed(self, user: Any) -> None:
        """Refuse who is no staff; stop before the session begins where a code is asked for."""
        super().confirm_login_allowed(user)
        if is_on(user.pk):
            raise _AsksForMore(user)


@sensitive_post_parameters("password")
def admin_sign_in(request: HttpRequest) -> HttpResponse:
    """Show the admin's form, or try what it was filled in with.

    :raises TooManyAttempts: which becomes a page with Retry-After.
    """
    if request.method != "POST":
        return admin.site.login(request)
    spent = spend(
        Rule.ADMIN_SIGN_IN,
        client=client_of(request),
        account=request.POST.get("username", "").strip()[:320],
    )
    try:
        with spent.unless_a_store_is_away():
            response = admin.site.login(request)
    except _AsksForMore as more:
        spent.give_back()
        return _second_step(request, more.user)
    if response.status_code != 302:
        return response
    spent.give_back()
    # The theme's form does not say where it leads to.
    asked = REDIRECT_FIELD_NAME in request.GET or REDIRECT_FIELD_NAME in request.POST
    return response if asked else redirect("admin:index")


def _second_step(request: HttpRequest, user: User) -> HttpResponse:
    """Go on as on the site's own page, which asks for the code and then leads to the admin."""
    leads_to = get_next_redirect_url(request) or reverse("admin:index")
    record_authentication(request, user, method="password")
    response: HttpResponse = perform_login(request, Login(user=user, redirect_url=leads_to))
    return response
