"""What every page shares: who looks, what is refused, and where to go afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from common.errors import PolystoreError
from databases import causality

View = Callable[..., HttpResponse]


def page(view: View) -> View:
    """Show a page to whoever is signed in; others are sent to sign in."""
    return require_safe(never_cache(login_required(view)))


def shown(
    request: HttpRequest, template: str, context: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    """Render a page; where a store does not answer and another one stands in, it says so."""
    state = causality.current()
    degraded = state is not None and bool(state.degraded)
    return render(request, template, {**context, "degraded": degraded}, status=status)


def deed(view: Callable[..., str], *, again: View | None = None) -> View:
    """Do what a form asks for whoever is signed in, say what was done, and go back.

    The view returns a sentence; what it raises on purpose is shown as one.

    :param again: shows the form with what was typed, where it was refused; takes the request and
        the answer's status.
    """

    @wraps(view)
    def act(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            messages.success(request, view(request, *args, **kwargs))
        except PolystoreError as error:
            if error.status >= 500:
                raise
            messages.error(request, f"{error.detail} {error.remedy}")
            if again is not None:
                return again(request, status=error.status)
        return back(request)

    return require_POST(never_cache(login_required(act)))


def form_of(again: View) -> Callable[[Callable[..., str]], View]:
    """Return `deed` for a form of the page that `again` shows."""
    return partial(deed, again=again)


def back(request: HttpRequest) -> HttpResponseRedirect:
    """Return to where the form stood, as far as that is one of our pages."""
    wanted = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts=None, require_https=request.is_secure()
    )
    response = redirect(wanted if wanted.startswith("/") and ours else resolve_url("tracker:today"))
    response.status_code = 303
    return response


def user_id_of(request: HttpRequest) -> UUID:
    """Return the id of the user who looks."""
    key: UUID = request.user.pk  # type: ignore[assignment]  # nobody else comes this far
    return key
