"""Pages of one's own account, beside allauth's."""

from __future__ import annotations

from typing import cast

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import services
from accounts.leaving.deleting import delete_account
from accounts.leaving.exporting import exported_parts, file_name
from accounts.models import User
from accounts.registration.confirming import change_address
from accounts.throttling import Rule, client_of, origin_of, spend
from accounts.views.forms import AddressForm, LeaveForm, PasswordForm, ProfileForm
from common.json_stream import as_download


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Show one's account; a POST changes the name."""
    user = _user(request)
    form = ProfileForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        services.change_profile(user=user, **form.cleaned_data)
        messages.success(request, "Your name is saved.")
        return redirect("account")
    pending = _pending(user)
    context = {
        "form": form,
        "pending": pending,
        "social": bool(settings.SOCIAL_APPS),
        "here": "account",
    }
    return render(request, "accounts/account.html", context)


@never_cache
@login_required
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def email(request: HttpRequest) -> HttpResponse:
    """Change one's address; it holds when the letter to the new one is answered."""
    user = _user(request)
    form = AddressForm(request.POST or None, user=user)
    if request.method == "POST" and form.is_valid():
        address = form.cleaned_data["address"]
        spend(Rule.MAIL, client=client_of(request), account=address)
        change_address(user=user, address=address, origin=origin_of(request))
        messages.success(request, f"A letter is on its way to {address}. Open the link in it.")
        return redirect("account")
    context = {"form": form, "pending": _pending(user)}
    return render(request, "accounts/email.html", context)


@never_cache
@login_required
@require_POST
def export(request: HttpRequest) -> HttpResponseBase:
    """Download everything that is kept of oneself."""
    user = _user(request)
    spend(Rule.EXPORT, client=client_of(request), account=user.pk)
    parts = exported_parts(user_id=user.pk, at=timezone.now(), client=client_of(request))
    return as_download(parts, file_name=file_name(at=timezone.now()))


@never_cache
@login_required
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def deactivate(request: HttpRequest) -> HttpResponse:
    """Sign out everywhere and bar the account; an operator can open it again."""
    user = _user(request)
    form = PasswordForm(request.POST or None, user=user)
    if request.method == "POST" and form.is_valid():
        services.deactivate_account(user=user, at=timezone.now(), client=client_of(request))
        logout(request)
        return render(request, "accounts/left.html", {"deleted": False})
    return render(request, "accounts/deactivate.html", {"form": form})


@never_cache
@login_required
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest) -> HttpResponse:
    """Delete the account and all that is one's own."""
    user = _user(request)
    form = LeaveForm(request.POST or None, user=user)
    if request.method == "POST" and form.is_valid():
        delete_account(user_id=user.pk, origin=origin_of(request), client=client_of(request))
        logout(request)
        return render(request, "accounts/left.html", {"deleted": True})
    return render(request, "accounts/delete.html", {"form": form})


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)


def _pending(user: User) -> str | None:
    """Return the address that waits for its confirmation."""
    waiting = EmailAddress.objects.filter(user_id=user.pk, verified=False)
    found: str | None = (
        waiting.exclude(email=user.email.lower()).values_list("email", flat=True).first()
    )
    return found
