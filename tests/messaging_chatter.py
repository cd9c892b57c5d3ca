"""People who write, edit, delete and follow, in a process of their own: `python -m
tests.messaging_chatter SEED`.

It speaks to the services, as a web process does. Each line of its output is one JSON object: what
was acknowledged, and what was seen. What it never says was never acknowledged.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from functools import partial
from typing import Any
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")
django.setup()

from django.db import connections  # noqa: E402

from common.errors import PolystoreError  # noqa: E402
from common.failures import as_polystore_error  # noqa: E402
from common.ids import uuid7  # noqa: E402
from messaging.queries.history import page_of  # noqa: E402
from messaging.queries.rooms import standing_of  # noqa: E402
from messaging.services.messages import (  # noqa: E402
    delete_message,
    edit_message,
    post_message,
)

_saying = threading.Lock()
_hushed = threading.Event()
WRITERS = 3


def say(kind: str, **what: Any) -> None:
    """Write a line, whole."""
    with _saying:
        sys.stdout.write(json.dumps({"kind": kind, **what}) + "\n")
        sys.stdout.flush()


def tried(act: Any) -> Any:
    """Return what an act returned; None when a store was away."""
    try:
        return act()
    except Exception as error:
        meaning = as_polystore_error(error)
        if meaning is None or meaning.status not in {404, 409, 503}:
            raise
        return None
    finally:
        for connection in connections.all(initialized_only=True):
            connection.close_if_unusable_or_obsolete()


def write(user_id: UUID, room_id: UUID, chance: random.Random) -> None:
    """Write until told to hush; a message whose answer was lost is sent again with its key."""
    mine: list[UUID] = []
    while not _hushed.is_set():
        time.sleep(chance.uniform(0.0, 0.03))
        act = chance.random()
        if act < 0.7 or not mine:
            text, key = str(uuid7()), str(uuid7())
            say("trying", content=text)
            for _ in range(5):
                posted = tried(
                    partial(post_message, user_id=user_id, room_id=room_id, content=text, key=key)
                )
                if posted is not None:
                    say("posted", id=str(posted.state.id), content=text)
                    mine.append(posted.state.id)
                    break
        elif act < 0.9:
            message_id, text = chance.choice(mine), f"edited {uuid7()}"
            kept = tried(
                partial(edit_message, user_id=user_id, message_id=message_id, content=text)
            )
            if kept is not None:
                say("edited", id=str(message_id))
        else:
            message_id = mine.pop(chance.randrange(len(mine)))
            say("deleting", id=str(message_id))
            if tried(partial(delete_message, user_id=user_id, message_id=message_id)):
                say("deleted", id=str(message_id))


def follow(user_id: UUID, room_id: UUID) -> None:
    """Follow for ever, from the beginning, by cursor."""
    from messaging.stores.cursors import Following

    cursor = Following.from_the_beginning().encode()
    while True:
        time.sleep(0.02)
        page = tried(
            lambda: page_of(
                standing_of(user_id=user_id, room_id=room_id),
                after=cursor,  # noqa: B023 - called at once
                limit=100,
            )
        )
        if page is None:
            continue
        cursor = page.previous
        say(
            "followed",
            ids=[str(state.id) for state in page.items],
            deleted=[str(state.id) for state in page.items if state.deleted],
        )


def look(user_id: UUID, room_id: UUID) -> None:
    """Read the newest page for ever: what is shown, in which order."""
    while True:
        time.sleep(0.02)
        page = tried(lambda: page_of(standing_of(user_id=user_id, room_id=room_id), limit=30))
        if page is not None:
            say("looked", ids=[str(state.id) for state in page.items])


def main() -> None:
    """Start all of them; ends when it is killed, or its input closes."""
    seed, room = int(sys.argv[1]), UUID(sys.argv[2])
    users = [UUID(one) for one in sys.argv[3:]]
    acts = [
        (write, (users[number % len(users)], room, random.Random(seed * 10 + number)))
        for number in range(WRITERS)
    ]
    acts += [(follow, (users[0], room)), (look, (users[-1], room))]  # type: ignore[list-item]
    for act, arguments in acts:
        threading.Thread(target=_guarded, args=(act, arguments), daemon=True).start()
    say("started", writers=WRITERS)
    sys.stdin.readline()  # "hush"
    _hushed.set()
    sys.stdin.read()


def _guarded(act: Any, arguments: tuple[Any, ...]) -> None:
    try:
        act(*arguments)
    except BaseException as error:
        detail = error.detail if isinstance(error, PolystoreError) else repr(error)
        say("broke", error=f"{act.__name__}: {type(error).__name__}: {detail}"[:2000])
        raise
    finally:
        say("ended")


if __name__ == "__main__":
    main()
