"""How large a request may be, judged before anybody reads it."""

from __future__ import annotations

from collections.abc import Awaitable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from common.failures import RequestTooLarge
from common.middleware.base import Middleware
from common.middleware.errors import answer_to


class RequestLimits(Middleware):
    """Refuses bodies that announce more than MAX_REQUEST_BYTES, files included.

    Django bounds what is no file (DATA_UPLOAD_MAX_MEMORY_SIZE); files it would write to disk as
    long as they come. What announces no length, Django reads as empty.
    """

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer 413 without reading, or pass on."""
        if not _is_too_large(request):
            return super().__call__(request)
        refused = answer_to(request, RequestTooLarge("The request is larger than the site takes."))
        return _later(refused) if self.is_async else refused


async def _later(answer: HttpResponseBase) -> HttpResponseBase:
    return answer


def _is_too_large(request: HttpRequest) -> bool:
    announced = str(request.META.get("CONTENT_LENGTH") or "0")
    # Longer figures than any machine has bytes are refused unread, too.
    return not announced.isdigit() or int(announced[:20]) > settings.MAX_REQUEST_BYTES
