"""`GET /api/rooms/{id}/stream`: what changes in a room, as server-sent events.

Served by the ASGI process; the others send callers there.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from common.access import Access, Kind, Scope
from common.errors import PolystoreError
from common.failures import MethodNotAllowed
from common.http import problem
from messaging.queries.rooms import standing_of
from messaging.queries.standing import Kind as RoomKind
from messaging.queries.standing import Standing
from messaging.schemas.shown import message_answer
from messaging.services.streaming import Change, Seen, hub, in_thread
from messaging.stores.states import State
from messaging.views.sign_in import SignIn

ACCESS: Final = Access(kind=Kind.SIGNED_IN, scope=Scope.MESSAGES_READ)
CONTENT_TYPE: Final = "text/event-stream"
RETRY_MS: Final = 2_000


class StreamsElsewhere(PolystoreError):
    """This process does not serve streams, and nobody said which one does."""

    code, status, title = "messaging.streams_elsewhere", 503, "Streams are served elsewhere"
    remedy = "Set STREAM_URL to the address of the ASGI process; poll with `after` meanwhile."
    retry_after = 30


async def stream(request: HttpRequest, room_id: UUID) -> HttpResponseBase:
    """Open a stream; `Last-Event-ID` (or `?lastEventId=`) resumes one without a gap."""
    try:
        return await _opened(request, room_id)
    except PolystoreError as error:
        return _for_origin(request, problem(error, request=request))


async def _opened(request: HttpRequest, room_id: UUID) -> HttpResponseBase:
    if request.method != "GET":
        raise MethodNotAllowed("A stream is opened with GET.")
    if not isinstance(request, ASGIRequest):
        return _elsewhere(request)
    request.close()  # nobody reads its body; Django would not close it when the client goes away
    given = request.headers.get("Last-Event-ID") or request.GET.get("lastEventId", "")
    last = Seen.decode(given) if given else None
    standing, sign_in = await in_thread(lambda: _admitted(request, room_id))
    changes = hub().watch(standing, last, sign_in)
    # The first one says that it is open; what fails before is an answer of its own.
    first = await anext(changes)
    response = StreamingHttpResponse(_lines(first, changes, standing), content_type=CONTENT_TYPE)
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return _for_origin(request, response)


def _admitted(request: HttpRequest, room_id: UUID) -> tuple[Standing, SignIn]:
    sign_in = SignIn(request, ACCESS)
    return standing_of(user_id=sign_in.user_id, room_id=room_id), sign_in


def _elsewhere(request: HttpRequest) -> HttpResponse:
    if not settings.STREAM_URL:
        raise StreamsElsewhere("This process does not serve streams.")
    response = HttpResponse(status=307)
    response["Location"] = f"{settings.STREAM_URL.rstrip('/')}{request.get_full_path()}"
    return response


async def _lines(
    first: Change, changes: AsyncIterator[Change], standing: Standing
) -> AsyncIterator[bytes]:
    try:
        yield f"retry: {RETRY_MS}\n\n".encode()
        yield _event(first, standing)
        async for change in changes:
            yield _event(change, standing)
    finally:
        await changes.aclose()  # type: ignore[attr-defined]  # it is a generator


def _event(change: Change, standing: Standing) -> bytes:
    if change.end:
        return f"event: end\ndata: {json.dumps({'reason': change.end})}\n\n".encode()
    if change.state is None:
        return f"event: alive\nid: {change.id}\ndata: {{}}\n\n".encode()
    state = change.state
    kind = "deleted" if state.deleted else "edited" if _was_edited(change) else "message"
    data = _data(state, standing.kind, change.name)
    return f"event: {kind}\nid: {change.id}\ndata: {data}\n\n".encode()


@lru_cache(maxsize=64)
def _data(state: State, kind: RoomKind, name: str) -> str:
    """Return a message as JSON: made once for all who stream its room."""
    return message_answer(state, kind, name=name).model_dump_json(by_alias=True)


def _was_edited(change: Change) -> bool:
    state = change.state
    return state is not None and state.updated_at > state.created_at


def _for_origin(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Let pages of this very host, on another port, and trusted origins read the answer."""
    origin = request.headers.get("Origin", "")
    if not origin:
        return response
    same_host = _host_of(origin) == request.get_host().rpartition(":")[0]
    if origin in settings.CSRF_TRUSTED_ORIGINS or (same_host and settings.DEBUG):
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Allow-Credentials"] = "true"
        response["Vary"] = "Origin"
    return response


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).hostname
    except ValueError:
        return None  # it is no address: nobody's
