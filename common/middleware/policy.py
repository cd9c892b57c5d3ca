"""Content-Security-Policy: what pages may load. Nothing comes from other sites."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from common.middleware.base import Middleware

_COMMON: Final = "base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
PAGES: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self'; "
    f"img-src 'self' data:; font-src 'self'; connect-src 'self'; {_COMMON}; form-action 'self'"
)
ADMIN: Final = PAGES.replace("script-src 'self'", "script-src 'self' 'unsafe-eval'").replace(
    "style-src 'self'", "style-src 'self' 'unsafe-inline'"
)
"""The admin's theme runs Alpine, which evaluates expressions written in attributes and sets styles
there. It gets no more: scripts within pages do not run."""
DATA: Final = "default-src 'none'; frame-ancestors 'none'"


class ContentSecurityPolicy(Middleware):
    """Sets the policy by what the answer is; a view that set its own keeps it."""

    def after(
        self, request: HttpRequest, response: HttpResponseBase, kept: None
    ) -> HttpResponseBase:
        """Add the header."""
        response.headers.setdefault("Content-Security-Policy", policy_for(request, response))
        return response


def policy_for(request: HttpRequest, response: HttpResponseBase) -> str:
    """Return the policy for this answer."""
    if not response.get("Content-Type", "").startswith("text/html"):
        return DATA
    path = request.path_info
    if path.startswith("/admin/"):
        return ADMIN
    if path.startswith("/account/") and settings.SOCIAL_ORIGINS:
        # Browsers hold the whole way of a form to this, the redirect to the other site included.
        return f"{PAGES} {' '.join(settings.SOCIAL_ORIGINS)}"
    return PAGES
