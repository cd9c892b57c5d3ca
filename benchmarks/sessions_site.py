"""The site with one small page that says who asks, for gunicorn.

Settings, middleware and gunicorn's configuration are production's. Every answer names the process
that gave it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.base")
django.setup()
settings.ROOT_URLCONF = __name__

StartResponse = Callable[..., Any]


def who(request: HttpRequest) -> HttpResponse:
    """Answer with the user's id, or 401 for a stranger."""
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    return HttpResponse(str(request.user.pk))


def ready(request: HttpRequest) -> HttpResponse:
    """Answer without any database."""
    return HttpResponse("ready")


urlpatterns = [path("who", who), path("ready", ready)]


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Serve a request, and name this process in the answer."""
    from django.core.wsgi import get_wsgi_application

    global _site  # noqa: PLW0603 - made once, at the first request
    if _site is None:
        _site = get_wsgi_application()

    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        return start_response(status, [*headers, ("X-Process", str(os.getpid()))], *more)

    answer: Iterable[bytes] = _site(environ, start)
    return answer


_site: Callable[..., Any] | None = None
