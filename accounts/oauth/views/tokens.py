"""Where people see who may act for them, make tokens of their own, and end both."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.oauth.policies import described
from accounts.oauth.queries import allowed_by, is_in_force, personal_tokens_of, scopes_of
from accounts.oauth.services import authorizations, personal
from accounts.sessions.current import current_session
from accounts.throttling import Rule, TooManyAttempts, client_of, spend
from common.errors import PolystoreError

LIVES = (7, 30, 90, 366)
"""Days that the page offers."""


@require_http_methods(["GET", "POST"])
@never_cache
@login_required
def tokens(request: HttpRequest) -> HttpResponse:
    """Show tokens and applications (GET); make a token and show its value, once (POST)."""
    made, status = None, 200
    if request.method == "POST":
        try:
            made = _make(request)
        except PolystoreError as error:
            if error.status >= 500 or isinstance(error, TooManyAttempts):
                raise
            messages.error(request, f"{error.detail} {error.remedy}")
            status = error.status
    return _page(request, made, status)


@require_POST
@never_cache
@login_required
def revoke_token(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """End one of the user's own tokens."""
    try:
        personal.revoke_token(user_id=_user_id(request), token_id=token_id, at=timezone.now())
        messages.success(request, "The token is revoked. Programs that use it are refused now.")
    except personal.TokenNotFound as error:
        messages.error(request, error.detail)
    return redirect("oauth2_provider:tokens")


@require_POST
@never_cache
@login_required
def end_access(request: HttpRequest, client_id: UUID) -> HttpResponse:
    """End all that the user allowed an application."""
    ended = authorizations.end_access_of(
        user_id=_user_id(request), client_id=client_id, at=timezone.now()
    )
    if ended:
        messages.success(request, "The application can no longer act for you.")
    else:
        messages.error(request, "That application could not act for you any more.")
    return redirect("oauth2_provider:tokens")


def _make(request: HttpRequest) -> personal.NewToken:
    spend(Rule.NEW_TOKEN, client=client_of(request), account=_user_id(request))
    days = request.POST.get("days", "")
    return personal.create_token(
        user_id=_user_id(request),
        name=request.POST.get("name", ""),
        scopes=request.POST.getlist("scopes"),
        days=int(days) if days.isascii() and days.isdigit() else 0,
        at=timezone.now(),
        session_id=current_session(request),
    )


def _page(request: HttpRequest, made: personal.NewToken | None, status: int) -> HttpResponse:
    at, user_id = timezone.now(), _user_id(request)
    chosen = request.POST if made is None else {}
    mine = [
        {"row": row, "live": row.is_live(at), "scopes": described(row.scopes)}
        for row in personal_tokens_of(user_id)
    ]
    may_have = scopes_of(request.user)  # type: ignore[arg-type]  # signed in
    context = {
        "here": "account",
        "made": made,
        "tokens": mine,
        "applications": _applications(user_id),
        "choices": described(map(str, may_have)),
        "lives": LIVES,
        "name": chosen.get("name", ""),
        "ticked": request.POST.getlist("scopes") if made is None else [],
        "days": chosen.get("days", "90"),
    }
    return render(request, "oauth/tokens.html", context, status=status)


def _applications(user_id: UUID) -> list[dict[str, object]]:
    """Return each client that can still act for the user, with all scopes that it was allowed."""
    by_client: dict[UUID, dict[str, object]] = {}
    names: dict[UUID, set[str]] = {}
    for row in allowed_by(user_id):
        if is_in_force(row):
            by_client.setdefault(row.client_id, {"client": row.client, "since": row.created_at})
            names.setdefault(row.client_id, set()).update(row.scopes)
            by_client[row.client_id]["since"] = row.created_at
    for key, entry in by_client.items():
        entry["scopes"] = described(names[key])
    return list(by_client.values())


def _user_id(request: HttpRequest) -> UUID:
    key: UUID = request.user.pk  # type: ignore[assignment]  # nobody else comes this far
    return key
