"""Gives each request its id and trace, and writes down one line and two figures about it."""

from __future__ import annotations

import logging
import time
from contextvars import Token
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from common import metrics
from common.middleware.base import Middleware
from common.tracing import REQUEST_ID_HEADER, Trace, begin, enter, leave

logger = logging.getLogger("polystore.access")

QUIET_ROUTES: Final = frozenset({"health", "metrics", "(static)"})
"""Asked all day by machines: logged at DEBUG."""


@dataclass(frozen=True, slots=True)
class _Started:
    trace: Trace
    token: Token[Trace | None]
    at: float


class ObservedRequests(Middleware):
    """Second in the chain. Answers carry X-Request-ID and `traceresponse`.

    The access line names the route's pattern, never the path or the query: those hold ids, tokens
    of reset links and personal data.
    """

    def before(self, request: HttpRequest) -> _Started:
        """Begin the trace, from the caller's headers where they are valid."""
        metrics.keep_sampling()
        trace = begin(
            request_id=request.headers.get(REQUEST_ID_HEADER, ""),
            traceparent=request.headers.get("traceparent", ""),
            tracestate=request.headers.get("tracestate", ""),
        )
        return _Started(trace, enter(trace), time.perf_counter())

    def after(
        self, request: HttpRequest, response: HttpResponseBase, kept: _Started
    ) -> HttpResponseBase:
        """Write the line and the figures, and name the trace in the answer."""
        seconds = time.perf_counter() - kept.at
        route = route_of(request)
        response[REQUEST_ID_HEADER] = kept.trace.request_id
        response["traceresponse"] = kept.trace.traceparent
        metrics.observe_request(
            route=route, method=request.method or "", status=response.status_code, seconds=seconds
        )
        logger.log(
            logging.DEBUG if route in QUIET_ROUTES else logging.INFO,
            "http.request",
            extra={
                "method": request.method,
                "route": route,
                "status": response.status_code,
                "ms": round(seconds * 1000, 2),
            },
        )
        leave(kept.token)
        return response

    def given_up(self, kept: _Started) -> None:
        """Forget the trace."""
        leave(kept.token)


def route_of(request: HttpRequest) -> str:
    """Return the pattern that answered, e.g. `api/rooms/<uuid:id>/messages`."""
    match = request.resolver_match
    if match is not None:
        return match.route or "/"
    if request.path_info.startswith(settings.STATIC_URL):
        return "(static)"
    return "(none)"
