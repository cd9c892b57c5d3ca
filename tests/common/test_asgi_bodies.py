"""Under ASGI, too, a body that is too large is neither read to its end nor kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync

PIECE = 65_536
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "POST",
    "path": "/health",
    "query_string": b"",
    "client": ("127.0.0.1", 1),
    "server": ("127.0.0.1", 80),
}


def sent(application: Any, *headers: tuple[bytes, bytes], pieces: int) -> tuple[int, int]:
    """Send so many pieces; return the answer's status, and how many the application took."""
    taken, answers = 0, []

    async def receive() -> dict[str, Any]:
        nonlocal taken
        if taken == pieces:
            await asyncio.Event().wait()  # the client stays
        taken += 1
        more = taken < pieces
        return {"type": "http.request", "body": b"x" * PIECE, "more_body": more}

    async def send(message: dict[str, Any]) -> None:
        answers.append(message)

    scope = {**SCOPE, "headers": [(b"host", b"127.0.0.1"), *headers]}
    async_to_sync(application)(scope, receive, send)
    return answers[0]["status"], taken


@pytest.fixture
def application(settings) -> Any:
    """Return what the server runs, with a low limit."""
    settings.MAX_REQUEST_BYTES = 4 * PIECE
    from config import asgi

    return asgi.application


@pytest.mark.django_db
class TestABodyThatIsTooLarge:
    def test_without_a_length_is_read_no_further_than_the_limit(self, application) -> None:
        assert sent(application, pieces=100) == (413, 5)

    def test_that_says_so_is_not_read_at_all(self, application) -> None:
        length = (b"content-length", b"%d" % (100 * PIECE))

        assert sent(application, length, pieces=100) == (413, 0)


@pytest.mark.django_db
def test_what_fits_is_answered_by_the_site(application) -> None:
    assert sent(application, pieces=4) == (403, 4)
