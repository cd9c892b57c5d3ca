"""One base for middleware that serves both WSGI and ASGI without a thread in between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

GetResponse = Callable[[HttpRequest], HttpResponseBase]
GetResponseAsync = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


class Middleware:
    """Subclasses write `before` and `after`; `before` may return what `after` needs."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse | GetResponseAsync) -> None:
        """Wrap `get_response`, which is a coroutine function under ASGI."""
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer `request`."""
        if self.is_async:
            return self._answer_later(request)
        kept = self.before(request)
        try:
            response = cast("GetResponse", self.get_response)(request)
        except BaseException:
            self.given_up(kept)
            raise
        return self.after(request, response, kept)

    async def _answer_later(self, request: HttpRequest) -> HttpResponseBase:
        kept = self.before(request)
        try:
            response = await cast("GetResponseAsync", self.get_response)(request)
        except BaseException:
            self.given_up(kept)
            raise
        return self.after(request, response, kept)

    def before(self, request: HttpRequest) -> Any:
        """Do what comes before the rest of the chain. Must not block."""

    def after(
        self, request: HttpRequest, response: HttpResponseBase, kept: Any
    ) -> HttpResponseBase:
        """Return the answer to pass on. Must not block."""
        return response

    def given_up(self, kept: Any) -> None:
        """Clean up where nobody answers: the client left, or the process ends."""
