"""The site with two small pages, for gunicorn: one needs the primary, one reads from the replica.

Settings, middleware and gunicorn's configuration are production's. Every answer names the process
that gave it, also when a middleware answers instead of a page.
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


def primary(request: HttpRequest) -> HttpResponse:
    """Answer with what only the primary may tell: how many accounts there are."""
    from django.contrib.auth import get_user_model

    return HttpResponse(str(get_user_model()._default_manager.count()))


def replica(request: HttpRequest) -> HttpResponse:
    """Answer with what a replica may tell: how many customers there are."""
    from customers.models import BusinessEntity

    return HttpResponse(str(BusinessEntity.objects.count()))


def ready(request: HttpRequest) -> HttpResponse:
    """Answer without any database."""
    return HttpResponse("ready")


urlpatterns = [path("primary", primary), path("replica", replica), path("ready", ready)]


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
