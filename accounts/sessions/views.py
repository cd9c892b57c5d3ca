"""The page on which people see where they are signed in, and end it."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.sessions import services
from accounts.sessions.current import current_session
from accounts.throttling import client_of
from common.pagination import page_of


@require_safe
@never_cache
@login_required
def sessions(request: HttpRequest) -> HttpResponse:
    """Show one's sessions, the newest first."""
    page = page_of(
        services.sessions_of(_user_id(request), at=timezone.now()),
        cursor=request.GET.get("cursor") or None,
        limit=20,
        by=("id",),
    )
    context = {"page": page, "current": current_session(request), "here": "account"}
    return render(request, "accounts/sessions.html", context)


@require_POST
@never_cache
@login_required
def end_session(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """End one of them, and say so."""
    try:
        services.end_session(
            user_id=_user_id(request), session_id=session_id, client=client_of(request)
        )
    except services.SessionNotFound:
        messages.success(request, "That session had ended already.")
    else:
        messages.success(request, "That device is signed out.")
    return redirect(
        "account_login" if session_id == current_session(request) else "account_sessions"
    )


@require_POST
@never_cache
@login_required
def end_others(request: HttpRequest) -> HttpResponse:
    """End all but the one that asks, and say how many."""
    ended = services.end_other_sessions(
        user_id=_user_id(request), keep=current_session(request), client=client_of(request)
    )
    messages.success(request, f"Sessions on other devices ended: {ended}.")
    return redirect("account_sessions")


def _user_id(request: HttpRequest) -> UUID:
    key: UUID = request.user.pk  # type: ignore[assignment]  # nobody else comes this far
    return key
