"""The admin's sign-in, with limits of its own: whoever tries the admin does not wait for others."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.debug import sensitive_post_parameters

from accounts.throttling import Rule, client_of, spend


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
        account=request.POST.get("username", "")[:320],
    )
    response = admin.site.login(request)
    if response.status_code != 302:
        return response
    spent.give_back()
    # The theme's form does not say where it leads to.
    asked = REDIRECT_FIELD_NAME in request.GET or REDIRECT_FIELD_NAME in request.POST
    return response if asked else redirect("admin:index")
