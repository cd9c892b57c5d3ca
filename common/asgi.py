"""How large a body may be under ASGI, where Django reads all of it before any middleware looks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings

from common.failures import RequestTooLarge
from common.http import problem

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class _TooLarge(Exception):
    """More came than MAX_REQUEST_BYTES."""


class BoundedBodies:
    """Wraps an application: of a body beyond MAX_REQUEST_BYTES no more is read, nor kept on disk.

    Bodies that announce no length count as they come.
    """

    def __init__(self, application: Application) -> None:
        """Wrap `application`."""
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413, or pass on."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        came = 0

        async def bounded() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > settings.MAX_REQUEST_BYTES:
                raise _TooLarge
            return message

        try:
            if _announced(scope) > settings.MAX_REQUEST_BYTES:
                raise _TooLarge
            await self.application(scope, bounded, send)
        except _TooLarge:
            await _refuse(send)


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            # Longer figures than any machine has bytes are refused unread, too.
            return int(value[:20])
    return 0


async def _refuse(send: Send) -> None:
    answer = problem(RequestTooLarge("The request is larger than the site takes."))
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.items()]
    headers += [(b"content-length", b"%d" % len(answer.content)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": answer.content})
