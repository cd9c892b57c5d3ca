"""What a process's open streams do as streams come and go, clients are slow and stores fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings

from common.ids import uuid7
from messaging.queries.rooms import standing_of
from messaging.queries.standing import RoomNotFound
from messaging.services import streaming
from messaging.services.messages import post_message
from messaging.services.streaming import Hub, Seen
from messaging.stores.mongodb import MongoMessages
from messaging.stores.versions import now_ms
from tests.homes import databases_of
from tests.messaging.world import opened

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("messaging"))


class StaysSignedIn:
    def counts_still(self) -> bool:
        return True

    def has_ended(self) -> bool:
        return False


async def in_thread(work: Callable[..., Any], *args: Any) -> Any:
    return await streaming.in_thread(lambda: work(*args))


def stream_of(hub: Hub, standing: Any, last: Seen | None = None) -> Any:
    return hub.watch(standing, last, StaysSignedIn())


async def soon(true: Callable[[], bool], *, seconds: float = 15.0) -> None:
    """Return when something has become true."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - nobody sets an event for it
            await asyncio.sleep(0.01)


async def later_than_the_window() -> None:
    over = now_ms() + 1_200
    await soon(lambda: now_ms() > over)


async def resumed(hub: Hub, standing: Any, last: str) -> list[str]:
    """Return what a stream says first that goes on behind an event."""
    stream, found = stream_of(hub, standing, Seen.decode(last)), []
    async with asyncio.timeout(10):
        while (change := await anext(stream)).state is not None:
            found.append(change.state.content)
    await stream.aclose()
    return found


def post(user, room_id, content):
    return post_message(user_id=user.pk, room_id=room_id, content=content, key=None).state


def test_a_stream_that_opens_as_the_last_one_closes_goes_on(ann, ben) -> None:
    room = opened(ann, ben)
    standing = standing_of(user_id=ben.pk, room_id=room)

    async def reload_the_page() -> tuple[Any, Any]:
        hub = Hub()
        first = stream_of(hub, standing)
        await anext(first)
        await first.aclose()
        second = stream_of(hub, standing)
        async with asyncio.timeout(5):
            await anext(second)
        await in_thread(post, ann, room, "Hello")
        async with asyncio.timeout(5):
            change = await anext(second)
        third = stream_of(hub, standing)
        async with asyncio.timeout(5):
            opened_too = await anext(third)
        await third.aclose()
        await second.aclose()
        return change, opened_too

    change, opened_too = asyncio.run(reload_the_page())
    assert (change.end, change.state and change.state.content) == ("", "Hello")
    assert opened_too.end == ""


@pytest.mark.parametrize("most", [3, 200])
def test_a_slow_client_goes_on_without_a_gap(ann, ben, monkeypatch, most) -> None:
    monkeypatch.setattr(streaming, "MOST_WAITING", most)
    room = opened(ann, ben)
    standing = standing_of(user_id=ben.pk, room_id=room)

    async def read_late() -> list[str]:
        hub = Hub()
        stream = stream_of(hub, standing)
        last = (await anext(stream)).id
        for number in range(5):
            await in_thread(post, ann, room, str(number))
        await soon(lambda: len(hub._told) == 5)
        await later_than_the_window()
        found = []
        for _ in range(2):  # then its connection breaks, unless it was ended
            change = await anext(stream)
            if change.end:
                assert change.end == "slow"
                break
            found.append(change.state.content)
            last = change.id
        await stream.aclose()
        return found + await resumed(Hub(), standing, last)

    with override_settings(MESSAGING_LOOKBACK_SECONDS=1):
        assert set(asyncio.run(read_late())) == {"0", "1", "2", "3", "4"}


def test_an_event_claims_nothing_that_nobody_has_looked_for(ann, ben, monkeypatch) -> None:
    monkeypatch.setattr(streaming, "HEARTBEAT_SECONDS", 0.1)
    room = opened(ann, ben)
    standing = standing_of(user_id=ben.pk, room_id=room)

    async def resume_after_silence() -> list[str]:
        hub = Hub()
        stream = stream_of(hub, standing)
        await anext(stream)
        message = await in_thread(post, ann, room, "announced")
        silent = message._replace(id=uuid7(), content="in silence")
        await in_thread(lambda: MongoMessages().put([silent]))
        await later_than_the_window()
        while (change := await anext(stream)).state is not None:
            pass
        change = await anext(stream)
        await stream.aclose()
        return await resumed(Hub(), standing, change.id)

    with override_settings(MESSAGING_LOOKBACK_SECONDS=1):
        assert "in silence" in asyncio.run(resume_after_silence())


def test_a_look_that_fails_is_not_the_last_one(ann, ben, monkeypatch) -> None:
    room = opened(ann, ben)
    standing = standing_of(user_id=ben.pk, room_id=room)
    failed = threading.Event()

    def standing_fails_once(**asked: Any) -> Any:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("nobody foresaw this")
        raise RoomNotFound("They were removed.")

    async def watched() -> str:
        hub = Hub()
        stream = stream_of(hub, standing)
        await anext(stream)
        async with asyncio.timeout(10):
            change = await anext(stream)
        await stream.aclose()
        return change.end

    monkeypatch.setattr(streaming, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(streaming, "standing_of", standing_fails_once)
    assert asyncio.run(watched()) == "membership"
    assert failed.is_set()
