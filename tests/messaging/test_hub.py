"""What a process's open streams do as streams come and go, clients are slow and stores fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from messaging.queries.rooms import standing_of
from messaging.services import streaming
from messaging.services.messages import post_message
from messaging.services.streaming import Hub
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


def post(user, room_id, content):
    return post_message(user_id=user.pk, room_id=room_id, content=content, key=None).state


def test_a_stream_that_opens_as_the_last_one_closes_goes_on(ann, ben) -> None:
    room = opened(ann, ben)
    standing = standing_of(user_id=ben.pk, room_id=room)

    async def reload_the_page() -> tuple[Any, Any]:
        hub = Hub()
        first = hub.watch(standing, None, StaysSignedIn())
        await anext(first)
        await first.aclose()
        second = hub.watch(standing, None, StaysSignedIn())
        async with asyncio.timeout(5):
            await anext(second)
        await in_thread(post, ann, room, "Hello")
        async with asyncio.timeout(5):
            change = await anext(second)
        third = hub.watch(standing, None, StaysSignedIn())
        async with asyncio.timeout(5):
            opened_too = await anext(third)
        await third.aclose()
        await second.aclose()
        return change, opened_too

    change, opened_too = asyncio.run(reload_the_page())
    assert (change.end, change.state and change.state.content) == ("", "Hello")
    assert opened_too.end == ""
