"""The site with small pages that say who asks, sign in and sign out, for gunicorn.

Settings, middleware and gunicorn's configuration are production's; BENCH_SESSIONS names another
store to serve with, of Django's own. Every answer names the process that gave it, and says how many
statements the request ran.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import django
from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.base")
django.setup()
settings.ROOT_URLCONF = __name__
OURS = "accounts.sessions.middleware.AuthenticationMiddleware"
DJANGOS = "django.contrib.auth.middleware.AuthenticationMiddleware"
if store := os.environ.get("BENCH_SESSIONS", ""):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{store}"
    settings.MIDDLEWARE = [DJANGOS if name == OURS else name for name in settings.MIDDLEWARE]

StartResponse = Callable[..., Any]


def who(request: HttpRequest) -> HttpResponse:
    """Answer with the user's id, or 401 for a stranger."""
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    return HttpResponse(str(request.user.pk))


def ready(request: HttpRequest) -> HttpResponse:
    """Answer without any database."""
    return HttpResponse("ready")


def look(request: HttpRequest) -> HttpResponse:
    """Look into the session only."""
    return HttpResponse(status=200 if "_auth_user_id" in request.session else 401)


@csrf_exempt
def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign the user in whose id is posted, without a password: its hash is not what is measured."""
    from django.contrib.auth import get_user_model, login

    user = get_user_model()._default_manager.filter(pk=request.POST["user"], is_active=True).first()
    if user is None:
        return HttpResponse(status=401)
    login(request, user)
    return HttpResponse(str(user.pk))


@csrf_exempt
def sign_out(request: HttpRequest) -> HttpResponse:
    """Sign out."""
    from django.contrib.auth import logout

    logout(request)
    return HttpResponse()


@csrf_exempt
def count(request: HttpRequest) -> HttpResponse:
    """Write to the session, as a basket does."""
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse(str(request.session["count"]))


urlpatterns = [
    path("who", who),
    path("look", look),
    path("ready", ready),
    path("sign-in", sign_in),
    path("sign-out", sign_out),
    path("count", count),
]


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Serve a request, and name this process in the answer."""
    from django.core.wsgi import get_wsgi_application

    global _site  # noqa: PLW0603 - made once, at the first request
    if _site is None:
        _site = get_wsgi_application()

    statements = 0

    def count(execute: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal statements
        statements += 1
        return execute(*arguments)

    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        ours = [("X-Process", str(os.getpid())), ("X-Statements", str(statements))]
        return start_response(status, [*headers, *ours], *more)

    with ExitStack() as counting:
        for connection in connections.all():
            counting.enter_context(connection.execute_wrapper(count))
        answer: Iterable[bytes] = _site(environ, start)
    return answer


_site: Callable[..., Any] | None = None
