"""Proof that a request which changes something comes from a page of ours."""

from __future__ import annotations

from django.http import HttpRequest
from ninja.utils import check_csrf

from common.errors import PolystoreError


class CsrfRefused(PolystoreError):
    """A browser sent a change without the token that proves its page is ours."""

    code, status, title = "access.csrf", 403, "CSRF token missing or wrong"
    remedy = "Send the value of the cookie `csrftoken` in the header X-CSRFToken."


def require_csrf(request: HttpRequest) -> None:
    """Return where the request carries the token.

    For public operations that change what the browser's cookies stand for: a page of another site
    must not sign somebody in to an account that is not theirs.

    :raises CsrfRefused: where it does not.
    """
    if check_csrf(request) is not None:
        raise CsrfRefused
