"""Serve each request in a causal scope of its own, and hand its token on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.db import connections
from django.db.utils import Error
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from databases import placement, process_state, read_totals, replica
from databases.causality import COOKIE, HEADER, TOKEN_SECONDS, CausalState, causal_scope

logger = logging.getLogger("databases.causality")

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class CausalReadsMiddleware:
    """Read the caller's token, serve the request, answer with the newer one.

    Stands outside the session middleware, whose writes at the end of a request count too.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        """Keep the next layer, synchronous or not."""
        self.get_response = get_response
        self.is_async = bool(iscoroutinefunction(get_response))
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Serve one request."""
        if self.is_async:
            return cast(HttpResponseBase, self._serve_async(request))
        placement.keep_refreshing()
        process_state.keep_publishing("web")
        with causal_scope(_state_of(request)) as state:
            response = self.get_response(request)
            _answer(response, state)
        return response

    async def _serve_async(self, request: HttpRequest) -> HttpResponseBase:
        await sync_to_async(placement.keep_refreshing)()
        process_state.keep_publishing("web")
        with causal_scope(_state_of(request)) as state:
            response = await cast(Awaitable[HttpResponseBase], self.get_response(request))
            await sync_to_async(_answer)(response, state)
        return response


def settle(state: CausalState) -> None:
    """Turn what the caller has written into positions: one query per alias that has replicas.

    Where positions do not exist or cannot be had, a time pin stands in.
    """
    for alias in sorted(state.wrote):
        state.advanced = True
        if not replica.replicas_of(alias):
            continue
        position = _position_of(alias)
        if position is None:
            state.pin()
        else:
            state.positions[alias] = max(position, state.positions.get(alias, 0))
    state.wrote.clear()


def _state_of(request: HttpRequest) -> CausalState:
    state = CausalState()
    state.absorb(request.COOKIES.get(COOKIE))
    state.absorb(request.headers.get(HEADER))
    return state


def _answer(response: HttpResponseBase, state: CausalState) -> None:
    settle(state)
    read_totals.absorb(state)
    if settings.DEBUG:
        served = ", ".join(sorted(alias for alias in state.reads if ":" not in alias))
        response.headers["X-Read-From"] = served or "none"
    if state.degraded:
        response.headers["X-Degraded"] = ", ".join(sorted(state.degraded))
    token = state.token()
    if not token or not state.advanced:
        return
    response.headers[HEADER] = token
    response.set_cookie(
        COOKIE,
        token,
        max_age=TOKEN_SECONDS,
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )


def _position_of(alias: str) -> int | None:
    connection = connections[alias]
    if not getattr(connection, "has_wal_positions", False) or connection.in_atomic_block:
        return None
    try:
        with connection.cursor() as cursor:
            # Taken after the commit, so that everything up to it includes the caller's write.
            cursor.execute(replica.PRIMARY_SQL)
            row = cursor.fetchone()
    except Error as error:
        logger.warning("causality.position_not_read", extra={"reason": type(error).__name__})
        return None
    return int(row[0]) if row else None
