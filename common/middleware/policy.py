"""Content-Security-Policy: what pages may load. Nothing comes from other sites."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from common.middleware.base import Middleware

_COMMON: Final = "base-uri 'none'; object-src 'none'; frame-ancestors 'none'; form-action 'self'"
PAGES: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    f"img-src 'self' data:; font-src 'self'; connect-src 'self'; {_COMMON}"
)
ADMIN: Final = PAGES.replace("script-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval'")
"""The admin's theme runs Alpine, which evaluates expressions written in attributes."""
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
    return ADMIN if request.path_info.startswith("/admin/") else PAGES
