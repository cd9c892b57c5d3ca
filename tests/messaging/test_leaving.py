"""Whoever leaves leaves no word in either store, also of what one of them took alone."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

import pytest
from django.utils import timezone

from accounts.leaving.deleting import delete_account
from accounts.models import Leaving, User
from databases.breaker import AliasUnavailable
from databases.stores import mongo
from messaging.models import DirectMessage, GroupMessage, ReadMarker
from messaging.services import leaving
from messaging.services.catching_up import copy_marked, sweep
from messaging.services.messages import delete_message, edit_message, post_message
from messaging.services.rooms import (
    add_to_server,
    create_channel,
    create_server,
    mark_read,
    remove_from_conversation,
)
from outbox.delivery import drain_once
from tests.homes import every_database
from tests.messaging.test_mongodb_is_away import back as mongodb_back
from tests.messaging.test_postgresql_is_away import back as primary_back
from tests.messaging.world import deliver, in_mongodb, in_postgres, opened
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True, databases=every_database())
SECRET = "Diesbezüglich"


@pytest.fixture
def conversation(ann, ben):
    return opened(ann, ben)


@pytest.fixture
def channel(ann, ben):
    server_id = create_server(user_id=ben.pk, name="Ours")
    add_to_server(user_id=ben.pk, server_id=server_id, user_ids=[ann.pk])
    return create_channel(user_id=ben.pk, server_id=server_id, name="talk").pk


def post(user, room_id, content):
    return post_message(
        user_id=user.pk,
        room_id=room_id,
        content=content,
        file_url="https://example.com/a.png",
        key=None,
    ).state


def leave(user) -> None:
    """Delete the account, and have every app told."""
    delete_account(user_id=user.pk, origin="http://x")
    deliver()


def everything_in_mongodb() -> str:
    """Return what the collections hold, as text."""
    with mongo.database(timeout=10) as database:
        return str({name: list(database[name].find()) for name in database.list_collection_names()})


def contents(model) -> dict[str, bool]:
    """Return what PostgreSQL holds: content to whether it is deleted."""
    return dict(model.objects.values_list("content", "deleted"))


def test_nothing_that_they_wrote_stays_in_either_store(ann, ben, conversation, channel) -> None:
    for room in (conversation, channel):
        post(ann, room, f"{SECRET} one")
        edited = post(ann, room, "two")
        edit_message(user_id=ann.pk, message_id=edited.id, content=f"{SECRET} edited")
        gone = post(ann, room, f"{SECRET} gone")
        delete_message(user_id=ann.pk, message_id=gone.id)
        answer = post(ben, room, "an answer")
        mark_read(user_id=ann.pk, room_id=room, message_id=answer.id, at=answer.created_at)
    deliver()
    assert SECRET in everything_in_mongodb()

    leave(ann)

    assert SECRET not in everything_in_mongodb()
    assert in_mongodb() == in_postgres()
    for model in (DirectMessage, GroupMessage):
        assert contents(model) == {"": True, "an answer": False}
        rows = model.objects.filter(deleted=True)
        assert set(rows.values_list("file_url", flat=True)) == {""}
        assert not any(SECRET.lower() in str(words).lower() for words in _searched(model))
    assert not ReadMarker.objects.filter(user_id=ann.pk).exists()
    assert Leaving.objects.get().done_at is not None
    assert not User.objects.filter(pk=ann.pk).exists()


def test_others_read_on(as_ben, ann, ben, conversation, channel) -> None:
    for room in (conversation, channel):
        post(ann, room, SECRET)
        post(ben, room, "an answer")

    leave(ann)

    for room in (conversation, channel):
        page = as_ben("GET", f"/api/rooms/{room}/messages")
        assert page.status_code == 200, page.content
        assert [item["content"] for item in page.json()["items"]] == ["an answer", ""]
        assert "Ann" not in page.content.decode()
        post(ben, room, "further")


def test_what_they_wrote_in_rooms_that_they_left_has_no_name(as_ben, ann, ben) -> None:
    room = opened(ann, ben, title="Three of us")
    post(ann, room, "kept")
    deliver()
    remove_from_conversation(
        user_id=ann.pk, conversation_id=room, other_id=ann.pk, at=timezone.now()
    )

    leave(ann)

    page = as_ben("GET", f"/api/rooms/{room}/messages")
    assert [item["content"] for item in page.json()["items"]] == ["kept"]
    assert "Ann" not in page.content.decode()


def _searched(model) -> list[object]:
    return list(model.objects.filter(deleted=True).values_list("search", flat=True))


@pytest.mark.outage
def test_what_mongodb_took_alone_goes_too(servers, ann, ben, conversation) -> None:
    post(ann, conversation, "first")
    deliver()
    servers.stop("primary")
    late = post(ann, conversation, f"{SECRET} late")
    primary_back(servers)
    assert late.id not in in_postgres()

    leave(ann)

    assert in_mongodb()[late.id][1] == ""
    assert SECRET not in everything_in_mongodb()
    assert in_mongodb() == in_postgres()
    assert Leaving.objects.get().done_at is not None


@pytest.mark.outage
def test_what_the_sweep_brings_meanwhile_goes_too(
    servers, ann, ben, conversation, monkeypatch
) -> None:
    post(ann, conversation, "first")
    deliver()
    servers.stop("primary")
    late = post(ann, conversation, f"{SECRET} late")
    primary_back(servers)

    def after_the_sweep() -> tuple[int, UUID | None]:
        eventually(lambda: sweep(at=timezone.now()).to_postgresql == 0)
        return copy_marked()

    monkeypatch.setattr(leaving, "copy_marked", after_the_sweep)
    leave(ann)

    assert in_postgres()[late.id][1] == ""
    assert SECRET not in everything_in_mongodb()


@pytest.mark.outage
def test_while_mongodb_is_away_they_leave_postgresql_and_mongodb_later(
    servers, ann, ben, conversation, channel
) -> None:
    for room in (conversation, channel):
        post(ann, room, SECRET)
    deliver()
    servers.stop("mongodb")

    delete_account(user_id=ann.pk, origin="http://x")
    with pytest.raises(AliasUnavailable):
        drain_once("messaging")

    assert contents(DirectMessage) == contents(GroupMessage) == {"": True}
    assert Leaving.objects.get().done_at is None

    mongodb_back(servers, "stop")
    eventually(_done)
    deliver()
    assert SECRET not in everything_in_mongodb()
    assert in_mongodb() == in_postgres()


def _done() -> bool:
    with suppress(AliasUnavailable):
        drain_once()
    return Leaving.objects.filter(done_at__isnull=False).exists()
