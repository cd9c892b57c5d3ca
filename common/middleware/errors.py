"""Errors that reach no view, or leave one, in the shape that the caller understands."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template import loader

from common.errors import PolystoreError
from common.failures import (
    Forbidden,
    InternalFailure,
    MethodNotAllowed,
    NotFound,
    ReferenceGone,
    RequestRefused,
    RequestTooLarge,
    as_polystore_error,
    is_reference_gone,
    is_unavailability,
)
from common.http import CONTENT_TYPE, problem
from common.middleware.base import Middleware

logger = logging.getLogger(__name__)

_FAILURE: Final = "_polystore_failure"
_JSON: Final = (CONTENT_TYPE, "application/json")
_PROGRAMS: Final = frozenset(
    {"/api", "/health", "/metrics", "/o/token", "/o/revoke", "/o/introspect"}
)
"""Addresses outside /api/ at which programs ask."""
_KEPT_HEADERS: Final = ("Allow", "Retry-After", "Vary", "WWW-Authenticate", "X-Degraded")
_BY_STATUS: Final[dict[int, type[PolystoreError]]] = {
    400: RequestRefused,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: RequestTooLarge,
}


class ProblemAnswers(Middleware):
    """Under /api/ every error is a problem document, for people a plain page.

    Covers what ninja never sees: addresses that match nothing, wrong methods, failures inside
    other middleware, and DEBUG's own error pages. A store that is down becomes a 503 with
    Retry-After wherever it was noticed.
    """

    def __init__(self, get_response: Any) -> None:
        """Listen to Django's signal for exceptions that it turns into a 500 itself."""
        super().__init__(get_response)
        got_request_exception.connect(_remember, dispatch_uid="common.middleware.errors")

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer what a view raised on purpose, stores that are down, and rows that went meanwhile;
        leave the rest."""
        if not (
            isinstance(exception, PolystoreError)
            or is_unavailability(exception)
            or is_reference_gone(exception)
        ):
            return None
        meaning = as_polystore_error(exception)
        return None if meaning is None else answer_to(request, meaning)

    def after(
        self, request: HttpRequest, response: HttpResponseBase, kept: None
    ) -> HttpResponseBase:
        """Replace an error page by a problem document, where a program asked."""
        if response.status_code < 400:
            return response
        failure = getattr(request, _FAILURE, None)
        if response.status_code == 500 and failure is not None and is_unavailability(failure):
            meaning = as_polystore_error(failure)
            if meaning is not None:
                return _kept(response, answer_to(request, meaning))
        media_type = response.get("Content-Type", "").partition(";")[0]
        if not wants_problem(request) or media_type in _JSON:
            return response
        return _translated(request, response)


def wants_problem(request: HttpRequest) -> bool:
    """Tell whether a program asks, by the address."""
    path = request.path_info
    return path.startswith("/api/") or path in _PROGRAMS


def _remember(request: HttpRequest | None = None, **_: Any) -> None:
    if request is not None:
        setattr(request, _FAILURE, sys.exc_info()[1])


def answer_to(request: HttpRequest, meaning: PolystoreError) -> HttpResponse:
    """Return what tells the caller about an error: a problem document, or for people a page."""
    if isinstance(meaning, ReferenceGone):
        logger.warning("http.reference_gone")
    if meaning.status == 503:
        logger.warning("http.store_unavailable", extra={"code": meaning.code})
    return problem(meaning, request=request) if wants_problem(request) else page(meaning)


def _translated(request: HttpRequest, response: HttpResponseBase) -> HttpResponse:
    kind = _BY_STATUS.get(response.status_code)
    if kind is None:
        kind = InternalFailure if response.status_code >= 500 else RequestRefused
    meaning = kind(kind.title + ".")
    meaning.status = response.status_code
    return _kept(response, problem(meaning, request=request))


def _kept(response: HttpResponseBase, answer: HttpResponse) -> HttpResponse:
    """Return `answer` with what the one that it replaces said beside its body."""
    for header in _KEPT_HEADERS:
        if header in response:
            answer[header] = response[header]
    return answer


def page(error: PolystoreError) -> HttpResponse:
    """Return a plain page about `error`. It needs no database and no static file."""
    context = {"error": error, "title": error.title or error.detail}
    response = HttpResponse(
        loader.render_to_string("common/error.html", context), status=error.status
    )
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    response["Cache-Control"] = "no-store"
    return response
