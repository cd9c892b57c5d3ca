"""A site with web and streams, and people who are signed in to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from devservers.sets import ServerSet
from tests.messaging_site import MessagingSite
from tests.running_site import free_port
from tests.waiting import eventually

NAMES: Final = ("Ann", "Ben")
_SIGN_UP: Final = """
import json
from django.test import Client
from accounts.models import User
from common.ids import uuid7
from messaging.services.freshness import confirm_membership
from messaging.services.messages import post_message
from messaging.services.rooms import open_conversation
from outbox.delivery import drain_once
people, sessions = [], []
for name in {names}:
    people.append(User.objects.create_user(
        f"{{uuid7()}}@example.com", "only-for-this-test-run", first_name=name, last_name="Example"))
    client = Client()
    client.force_login(people[-1])
    sessions.append(client.cookies["sessionid"].value)
room, _ = open_conversation(user_id=people[0].pk, user_ids=[one.pk for one in people[1:]])
for number in range({messages}):
    post_message(
        user_id=people[number % 2].pk, room_id=room, content=f"message {{number}}", key=None)
drain_once()
confirm_membership()
print("made", json.dumps([str(room), [str(one.pk) for one in people], sessions]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """A conversation of people who are signed in."""

    room: str
    ids: list[str]
    sessions: list[str]


class ChatSite(MessagingSite):
    """Web and streams in processes of their own."""

    def __init__(self, servers: ServerSet) -> None:
        """Take the servers."""
        super().__init__(servers)
        self.streams = free_port()
        self.environment |= {
            "STREAM_URL": f"http://127.0.0.1:{self.streams}",
            "CSRF_TRUSTED_ORIGINS": f"http://127.0.0.1:{self.port}",
        }

    def set_up(self) -> None:
        """Start both."""
        self.manage("migrate_all")
        self.forget()
        self.manage("ensure_mongo_indexes")
        self.start(workers=1)
        self.spawn(
            *("uvicorn", "config.asgi:application", "--host", "127.0.0.1"),
            *("--port", str(self.streams), "--lifespan", "off", "--ws", "none"),
        )
        eventually(self._streams_serve)

    def talk(self, *, messages: int = 0) -> Talk:
        """Return a conversation of new people, who have written so many messages."""
        code = _SIGN_UP.format(names=NAMES, messages=messages)
        said = self.manage("shell", "-c", code).stdout
        made = next(line for line in said.splitlines() if line.startswith("made "))
        room, ids, sessions = json.loads(made.removeprefix("made "))
        return Talk(room=room, ids=ids, sessions=sessions)

    @contextmanager
    def as_person(self, session: str) -> Iterator[httpx.Client]:
        """Give a browser in which somebody is signed in, without its pages."""
        cookies = {"sessionid": session}
        with httpx.Client(base_url=self.url(""), cookies=cookies, timeout=30) as client:
            client.get("/rooms/")  # for the token against forged requests
            client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
            yield client

    def _streams_serve(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.streams}/health").status_code == 200
        except httpx.TransportError:
            return False


def contents(answer: httpx.Response) -> list[Any]:
    """Return what the messages of a page say, in its order."""
    assert answer.status_code == 200, answer.text
    return [message["content"] for message in answer.json()["items"]]
