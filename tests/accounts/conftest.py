"""Limits that begin anew, and a mail box."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from django.core import mail
from django.core.mail import EmailMessage

from accounts import events
from accounts.throttling.counting import memory
from databases.stores import redis
from outbox import registry
from outbox.delivery import drain_once
from outbox.events import Event


@pytest.fixture(autouse=True)
def fresh_limits() -> Iterator[None]:
    """Begin and end with no try counted."""
    forget_tries()
    yield
    forget_tries()


@pytest.fixture
def letters() -> Callable[[], list[EmailMessage]]:
    """Return a function that has the workers send what is due and returns the new letters."""

    def sent() -> list[EmailMessage]:
        mail.outbox.clear()
        drain_once("accounts")
        return list(mail.outbox)

    return sent


def forget_tries() -> None:
    """Have every limit begin anew."""
    memory.forget()
    client = redis.client()
    for key in client.scan_iter("polystore:throttle:*"):
        client.delete(key)


def link_in(letter: EmailMessage) -> str:
    """Return the path of the first link of a letter."""
    found = re.search(r"https?://[^/\s]+(/\S+)", str(letter.body))
    assert found is not None, letter.body
    return found[1]


@pytest.fixture
def heard() -> Iterator[Callable[[str], list[Event]]]:
    """Return a function that delivers, and returns what a listener was told of one kind."""
    told: list[Event] = []
    before = dict(registry._registry.consumers)
    registry.subscribe(
        registry.Consumer(
            name="tests.accounts",
            app_label="tracker",
            aggregate_types=frozenset({events.ACCOUNT}),
            handle=told.extend,
        )
    )

    def of(kind: str) -> list[Event]:
        drain_once("tracker")
        return [event for event in told if event.type == kind]

    yield of
    registry._registry.consumers.clear()
    registry._registry.consumers.update(before)
    registry._registry.sinks.clear()
