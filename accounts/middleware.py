"""What wraps requests for the sake of accounts."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts.audit import acting
from common.middleware.base import Middleware


class KnownActor(Middleware):
    """Behind authentication: lets the audit trail know for which request a row is changed."""

    def before(self, request: HttpRequest) -> Any:
        """Remember the request; asks nothing."""
        return acting.begin(request)

    def after(
        self, request: HttpRequest, response: HttpResponseBase, kept: Any
    ) -> HttpResponseBase:
        """Forget it."""
        acting.end(kept)
        return response

    def given_up(self, kept: Any) -> None:
        """Forget it."""
        acting.end(kept)
