"""A running site with a store gone: who is recognised, and what they may still do."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from common.ids import uuid7
from tests.messaging_web import ChatSite, contents
from tests.waiting import eventually

pytestmark = [pytest.mark.outage, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def chat(servers_of_the_session) -> Iterator[ChatSite]:
    with ChatSite(servers_of_the_session).serving() as made:
        yield made


def a_token(chat: ChatSite, user_id: str) -> str:
    """Return a personal token for messages."""
    code = (
        "from django.utils import timezone; from uuid import UUID;"
        "from accounts.oauth.services.personal import create_token;"
        f"made = create_token(user_id=UUID('{user_id}'), name='x', days=1, at=timezone.now(),"
        " scopes=['messages:read', 'messages:write']); print('made', made.value)"
    )
    said = chat.manage("shell", "-c", code).stdout
    return next(
        line.removeprefix("made ") for line in said.splitlines() if line.startswith("made ")
    )


def test_without_postgresql_browsers_go_on_and_tokens_get_503(chat: ChatSite, servers) -> None:
    talk = chat.talk(messages=2)
    path = f"/api/rooms/{talk.room}/messages"
    bearer = {"Authorization": f"Bearer {a_token(chat, talk.ids[1])}"}
    with chat.as_person(talk.sessions[0]) as ann, chat.as_person(talk.sessions[1]) as ben:
        before = ["message 1", "message 0"]
        assert contents(ann.get(path)) == contents(ben.get(path)) == before
        assert contents(chat.get(path, headers=bearer)) == before

        servers.stop("primary")
        eventually(lambda: ann.get(path).headers.get("X-Degraded", "") == "default")
        key = {"Idempotency-Key": str(uuid7())}
        written = ann.post(path, json={"content": "without PostgreSQL"}, headers=key)
        assert written.status_code == 201, written.text
        again = ann.post(path, json={"content": "without PostgreSQL"}, headers=key)
        assert (again.status_code, again.json()["id"]) == (201, written.json()["id"])
        edited = f"/api/messages/{written.json()['id']}"
        assert ann.patch(edited, json={"content": "edited"}).status_code == 200
        assert ben.patch(edited, json={"content": "mine"}).status_code == 403
        during = contents(ben.get(path))
        assert during == ["edited", *before]
        refused = chat.get(path, headers=bearer)
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        stranger = httpx.get(chat.url(path), cookies={"sessionid": "0" * 32}, timeout=30)
        assert stranger.status_code in {401, 503}

        servers.start("primary")
        eventually(lambda: chat.get(path, headers=bearer).status_code == 200)
        assert contents(chat.get(path, headers=bearer)) == during
        eventually(lambda: "X-Degraded" not in ben.get(path).headers)
        assert contents(ben.get(path)) == during


def test_a_stream_ends_with_its_session_as_the_process_hears_of_it(chat: ChatSite) -> None:
    talk = chat.talk()
    address = f"http://127.0.0.1:{chat.streams}/api/rooms/{talk.room}/stream"
    cookies = {"sessionid": talk.sessions[0]}
    with (
        httpx.Client(cookies=cookies, timeout=60) as client,
        client.stream("GET", address) as stream,
    ):
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("event")) == "event: alive"
        begun = time.monotonic()
        chat.sql("DELETE FROM accounts_session WHERE user_id = %s", [talk.ids[0]])
        assert "event: end" in lines
        assert "signed out" in next(lines)
        assert time.monotonic() - begun < 10  # of which it looks every 2


def test_without_mongodb_both_go_on(chat: ChatSite, servers) -> None:
    talk = chat.talk(messages=1)
    path = f"/api/rooms/{talk.room}/messages"
    bearer = {"Authorization": f"Bearer {a_token(chat, talk.ids[1])}"}
    with chat.as_person(talk.sessions[0]) as ann:
        servers.pause("mongodb")
        answer = ann.post(path, json={"content": "without MongoDB"})
        assert (answer.status_code, answer.headers["X-Degraded"]) == (201, "mongodb")
        read = chat.get(path, headers=bearer)
        assert contents(read) == ["without MongoDB", "message 0"]
        servers.resume("mongodb")
        eventually(lambda: "X-Degraded" not in ann.get(path).headers)
        assert contents(ann.get(path)) == ["without MongoDB", "message 0"]
