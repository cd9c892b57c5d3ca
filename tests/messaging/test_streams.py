"""Live updates: everything once, a resumed stream without a gap, nobody who does not belong."""

from __future__ import annotations

import contextlib
import gc
import json
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from django.test import override_settings
from django.utils import timezone

from accounts.models import PersonalToken, Session, User
from accounts.oauth.services.personal import create_token
from common.ids import uuid7
from config.asgi import application
from databases.backend.wrapper import open_pools
from databases.stores import redis
from messaging.queries.rooms import names_of
from messaging.services import streaming
from messaging.services.messages import delete_message, edit_message, post_message
from messaging.services.rooms import remove_from_conversation
from messaging.stores.mongodb import MongoMessages
from messaging.views.sign_in import SignIn
from tests.accounts.oauth.flows import a_machine
from tests.homes import databases_of
from tests.messaging.world import made, opened
from tests.people import signed_in
from tests.running_site import free_port
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("messaging"))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve the ASGI application in a thread of the tests."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(
            application, host="127.0.0.1", port=port, log_config=None, lifespan="off", ws="none"
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = server.force_exit = True
    thread.join()


class Stream:
    """An open stream, read by a thread."""

    def __init__(self, address: str, room_id: Any, user: Any, last: str = "") -> None:
        headers = {"Last-Event-ID": last} if last else {}
        self.events: queue.Queue[tuple[str, str, dict[str, Any]]] = queue.Queue()
        if isinstance(user, str):
            headers["Authorization"] = f"Bearer {user}"
            cookies = {}
        else:
            self.browser = signed_in(user)
            cookies = {name: morsel.value for name, morsel in self.browser.cookies.items()}
        self.client = httpx.Client(cookies=cookies, timeout=30)
        self.context = self.client.stream(
            "GET", f"{address}/api/rooms/{room_id}/stream", headers=headers
        )
        self.response = self.context.__enter__()
        self.thread = threading.Thread(target=self._read, daemon=True)
        if self.response.status_code == 200:
            self.thread.start()
            self.last = ""

    def _read(self) -> None:
        fields: dict[str, str] = {}
        with contextlib.suppress(httpx.HTTPError, httpx.StreamError):
            for line in self.response.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif fields:
                    if "event" in fields:
                        event = (fields["event"], fields.get("id", ""), json.loads(fields["data"]))
                        self.events.put(event)
                    fields = {}
        self.events.put(("closed", "", {}))

    def next(self, *, seconds: float = 15.0) -> tuple[str, str]:
        """Return the next event's kind and content."""
        while True:
            kind, event_id, data = self.events.get(timeout=seconds)
            self.last = event_id or self.last
            if kind != "alive":
                return kind, data.get("content", data.get("reason", ""))

    def opened(self) -> Stream:
        assert self.response.status_code == 200, self.response.read()
        kind, self.last, _ = self.events.get(timeout=15)
        assert kind == "alive"
        return self

    def close(self) -> None:
        self.context.__exit__(None, None, None)
        self.client.close()


@pytest.fixture
def streams(address):
    """Return a function that opens streams, and close them all."""
    made_ones: list[Stream] = []

    def make(room_id: Any, user: Any, last: str = "") -> Stream:
        made_ones.append(Stream(address, room_id, user, last))
        return made_ones[-1]

    yield make
    for one in made_ones:
        one.close()


def post(user, room_id, content):
    return post_message(user_id=user.pk, room_id=room_id, content=content, key=None).state


def test_what_is_written_edited_and_deleted_is_told(streams, ann, ben, cleo) -> None:
    room, other = opened(ann, ben), opened(ann, cleo)
    stream = streams(room, ben).opened()

    post(ann, other, "elsewhere")
    message = post(ann, room, "Hello")
    assert stream.next() == ("message", "Hello")
    edit_message(user_id=ann.pk, message_id=message.id, content="Bye")
    assert stream.next() == ("edited", "Bye")
    delete_message(user_id=ann.pk, message_id=message.id)
    assert stream.next() == ("deleted", "")


def test_a_machine_that_acts_as_nobody_is_told_that_a_user_is_needed(streams, ann, ben) -> None:
    machine = a_machine(scopes=("messages:read",))
    token = machine.token(grant_type="client_credentials", scope="messages:read").json()

    response = streams(opened(ann, ben), token["access_token"]).response

    problem = json.loads(response.read())
    assert (response.status_code, problem["code"]) == (403, "access.user_needed")


def test_a_stream_that_broke_goes_on_without_a_gap(streams, ann, ben) -> None:
    room = opened(ann, ben)
    stream = streams(room, ben).opened()
    first = post(ann, room, "first")
    assert stream.next() == ("message", "first")
    stream.close()

    post(ann, room, "second")
    edit_message(user_id=ann.pk, message_id=first.id, content="edited")
    again = streams(room, ben, last=stream.last)
    seen = {again.next()[1] for _ in range(2)}
    assert seen == {"second", "edited"}
    post(ann, room, "third")
    assert again.next() == ("message", "third")


def test_what_nobody_announced_is_told_from_the_database(streams, ann, ben, monkeypatch) -> None:
    monkeypatch.setattr(streaming, "LOOK_SECONDS", 0.3)
    room = opened(ann, ben)
    stream = streams(room, ben).opened()
    message = post(ann, room, "announced")
    MongoMessages().put([message._replace(id=uuid7(), content="in silence")])

    assert {stream.next()[1] for _ in range(2)} == {"announced", "in silence"}


def test_who_does_not_belong_gets_no_stream(streams, address, ann, ben, cleo) -> None:
    room = opened(ann, ben)

    assert streams(room, cleo).response.status_code == 404
    assert httpx.get(f"{address}/api/rooms/{room}/stream").status_code == 401
    refused = streams(room, ben, last="x").response
    assert refused.status_code == 422
    assert json.loads(refused.read())["code"] == "pagination.cursor_invalid"


def test_an_origin_that_is_no_address_is_nobody(address, ann, ben) -> None:
    room = opened(ann, ben)
    path = f"{address}/api/rooms/{room}/stream"

    assert httpx.get(path, headers={"Origin": "http://["}).status_code == 401


def test_who_is_removed_is_told_and_hears_no_more(streams, ann, ben, cleo) -> None:
    room = opened(ann, ben, cleo, title="Three")
    stream = streams(room, ben).opened()

    remove_from_conversation(
        user_id=ann.pk, conversation_id=room, other_id=ben.pk, at=timezone.now()
    )

    assert stream.next() == ("end", "membership")
    assert stream.next() == ("closed", "")


def sign_out(stream, user) -> None:
    stream.browser.logout()


def sign_out_everywhere(stream, user) -> None:
    Session.objects.filter(user=user).delete()


def change_the_password(stream, user) -> None:
    user.set_password("quite-another-passphrase")
    user.save()


def deactivate(stream, user) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


@pytest.mark.parametrize("end", [sign_out, sign_out_everywhere, change_the_password, deactivate])
def test_who_is_signed_out_hears_no_more(end, streams, ann, ben) -> None:
    room = opened(ann, ben)
    stream, other = streams(room, ben).opened(), streams(room, ann).opened()

    end(stream, ben)

    assert stream.next(seconds=30) == ("end", "signed out")
    assert stream.next() == ("closed", "")
    post(ann, room, "without Ben")
    assert other.next() == ("message", "without Ben")


def test_an_ended_token_ends_its_stream(streams, ann, ben) -> None:
    room = opened(ann, ben)
    token = create_token(
        user_id=ben.pk, name="a test", scopes=["messages:read"], days=1, at=timezone.now()
    )
    stream = streams(room, token.value).opened()
    post(ann, room, "with Ben")
    assert stream.next() == ("message", "with Ben")

    PersonalToken.objects.filter(pk=token.token.pk).update(revoked_at=timezone.now())
    assert stream.next(seconds=30) == ("end", "signed out")


def test_news_of_somebody_who_stays_signed_in_end_nothing(streams, ann, ben, monkeypatch) -> None:
    asked: list[SignIn] = []
    has_ended = SignIn.has_ended

    def noted(self: SignIn) -> bool:
        asked.append(self)
        return has_ended(self)

    monkeypatch.setattr(SignIn, "has_ended", noted)
    monkeypatch.setattr(streaming, "SIGN_IN_SECONDS", 0.1)
    room = opened(ann, ben)
    stream = streams(room, ben).opened()
    before = len(asked)
    User.objects.filter(pk=ben.pk).update(first_name="Benjamin")
    eventually(lambda: len(asked) > before)

    post(ann, room, "still there")
    assert stream.next() == ("message", "still there")


def test_all_who_stream_a_room_wait_for_one_question_about_its_author(
    streams, ann, ben, monkeypatch
) -> None:
    asked: list[Any] = []
    more = threading.Event()

    def noted(ids: Any) -> Any:
        asked.append(ids)
        more.wait(5)
        return names_of(ids)

    monkeypatch.setattr(streaming, "names_of", noted)
    room = opened(ann, ben)
    several = [streams(room, ben).opened() for _ in range(6)]

    post(ann, room, "to all")
    eventually(lambda: asked)
    post(ann, room, "another")
    more.set()

    for one in several:
        assert one.next() == ("message", "to all")
        assert one.next() == ("message", "another")
    assert asked == [[ann.pk]]


def test_the_other_processes_send_callers_there(as_ann, room) -> None:
    path = room.replace("messages", "stream")

    assert made(as_ann("GET", path), 503)["code"] == "messaging.streams_elsewhere"
    with override_settings(STREAM_URL="https://live.example"):
        answer = as_ann("GET", path)
    assert (answer.status_code, answer["Location"]) == (307, f"https://live.example{path}")


@pytest.mark.outage
def test_without_redis_streams_end_and_come_back_without_a_gap(streams, servers, ann, ben) -> None:
    room = opened(ann, ben)
    stream = streams(room, ben).opened()
    servers.stop("redis")

    assert stream.next() == ("end", "redis")
    post(ann, room, "meanwhile")
    assert streams(room, ben).response.status_code == 503
    servers.start("redis")
    eventually(lambda: not redis.breaker().is_open)
    again = streams(room, ben, last=stream.last)
    assert again.next() == ("message", "meanwhile")


def test_many_streams_hold_no_connection_and_leave_nothing_behind(
    streams, ann, ben, address
) -> None:
    room = opened(ann, ben)
    before, lent_before = _descriptors(), _lent()
    many = [streams(room, ben).opened() for _ in range(30)]

    eventually(lambda: _lent() <= max(1, lent_before))  # this thread's own, and what others hold
    begun = time.monotonic()
    post(ann, room, "to all")
    assert {stream.next() for stream in many} == {("message", "to all")}
    assert time.monotonic() - begun < 10
    for stream in many:
        stream.close()
    gc.collect()
    eventually(lambda: _descriptors() <= before + 12)


def _lent() -> int:
    """Return how many connections to the primary somebody in this process holds."""
    stats = open_pools()["default"].get_stats()
    return int(stats["pool_size"] - stats["pool_available"])


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
