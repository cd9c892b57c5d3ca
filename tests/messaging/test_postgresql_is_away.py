"""With PostgreSQL gone, direct messages go on in MongoDB; afterwards both agree."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connections
from django.test import override_settings
from django.utils import timezone

from common.ids import uuid7
from databases import breaker, causality
from databases.breaker import AliasUnavailable
from databases.stores import mongo
from messaging.models import ReadMarker
from messaging.queries.history import page_of
from messaging.queries.rooms import conversations_of, names_of, servers_of, standing_of
from messaging.queries.standing import RoomNotFound
from messaging.services.catching_up import sweep
from messaging.services.messages import delete_message, edit_message, post_message
from messaging.services.rooms import create_server, mark_read, remove_from_conversation
from messaging.stores.doors import BothStoresDown, Mode, check_database_health
from tests.homes import databases_of
from tests.messaging.world import deliver, in_mongodb, in_postgres, opened
from tests.waiting import eventually

pytestmark = [
    pytest.mark.outage,
    pytest.mark.django_db(transaction=True, databases=databases_of("messaging")),
]


@pytest.fixture
def conversation(ann, ben):
    return opened(ann, ben)


def post(user, room_id, content, key=None):
    return post_message(user_id=user.pk, room_id=room_id, content=content, key=key).state


def shown(user, room_id):
    standing = standing_of(user_id=user.pk, room_id=room_id)
    return [state.content for state in page_of(standing).items]


def back(servers) -> None:
    servers.start("primary")
    eventually(_answers)


def _answers() -> bool:
    known = breaker.get("default")
    if known is None:
        return True
    connections["default"].close_if_unusable_or_obsolete()
    try:
        known.require()
        ReadMarker.objects.using("default").exists()
    except Exception:  # noqa: BLE001 - not yet
        return False
    return True


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_direct_messages_go_on(how, servers, ann, ben, conversation) -> None:
    first = post(ann, conversation, "first")
    deliver()

    getattr(servers, how)("primary")
    with causality.causal_scope() as state:
        second = post(ann, conversation, "second", key=str(uuid7()))
        assert state.degraded == {"default"}
    edit_message(user_id=ann.pk, message_id=first.id, content="edited")
    third = post(ben, conversation, "third")
    delete_message(user_id=ben.pk, message_id=third.id)
    during = shown(ben, conversation)
    assert during == ["", "second", "edited"]
    assert names_of([ann.pk]) == {ann.pk: "Ann Of Messaging"}
    assert [seen.id for seen in conversations_of(user_id=ann.pk).items] == [conversation]
    eventually(lambda: check_database_health().mode is Mode.POSTGRESQL_DOWN)

    back(servers)
    eventually(lambda: check_database_health().mode is Mode.CATCHING_UP)
    assert shown(ben, conversation) == during
    sweep(at=timezone.now())
    assert in_mongodb() == in_postgres()
    assert shown(ben, conversation) == during
    assert second.id in in_postgres()


def test_who_does_not_take_part_stays_outside(servers, ann, ben, cleo, conversation) -> None:
    deliver()
    servers.stop("primary")

    with pytest.raises(RoomNotFound):
        standing_of(user_id=cleo.pk, room_id=conversation)
    with pytest.raises(AliasUnavailable):  # it may be a channel
        standing_of(user_id=ann.pk, room_id=uuid7())
    back(servers)


def test_who_was_removed_and_not_told_of_is_out_after_a_while(servers, ann, ben, cleo) -> None:
    conversation = opened(ann, ben, cleo, title="Three")
    deliver()
    remove_from_conversation(
        user_id=ann.pk, conversation_id=conversation, other_id=ben.pk, at=timezone.now()
    )
    servers.stop("primary")

    assert standing_of(user_id=ben.pk, room_id=conversation).room_id == conversation
    with override_settings(MESSAGING_MEMBERSHIP_SECONDS=0), pytest.raises(AliasUnavailable):
        standing_of(user_id=ben.pk, room_id=conversation)
    back(servers)
    with pytest.raises(RoomNotFound):
        standing_of(user_id=ben.pk, room_id=conversation)


def test_membership_is_no_younger_than_what_waits(ann, ben) -> None:
    from messaging.services.freshness import confirm_membership

    before = timezone.now()
    opened(ann, ben)  # not delivered

    noted = confirm_membership()
    assert noted is not None
    assert noted < timezone.now()
    with mongo.database() as database:
        as_of = database["messaging_state"].find_one({"_id": "membership"})["as_of"]
    assert as_of < before + dt.timedelta(seconds=1)


def test_channels_and_markers_wait_for_postgresql(servers, ann, ben, conversation) -> None:
    server_id = create_server(user_id=ann.pk, name="Ours")
    channel = next(one for one in servers_of(user_id=ann.pk) if one.id == server_id).channels[0].id
    message = post(ann, conversation, "x")
    deliver()
    servers.stop("primary")

    for act in (
        lambda: post(ann, channel, "x"),
        lambda: mark_read(
            user_id=ann.pk, room_id=conversation, message_id=message.id, at=timezone.now()
        ),
    ):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - what matters is what it means
            act()
        from common.failures import as_polystore_error

        assert as_polystore_error(caught.value).status == 503
    back(servers)


def test_with_neither_store_it_is_503_and_a_retry_makes_one(servers, ann, conversation) -> None:
    deliver()
    key = str(uuid7())
    servers.stop("mongodb")
    servers.stop("primary")
    with pytest.raises((BothStoresDown, AliasUnavailable)) as caught:
        post(ann, conversation, "x", key=key)
    assert caught.value.status == 503

    servers.start("mongodb")
    eventually(lambda: not mongo.breaker().is_open)
    eventually(lambda: _posts(ann, conversation, key))
    back(servers)
    post(ann, conversation, "x", key=key)
    sweep(at=timezone.now())
    assert len(in_mongodb()) == 1
    assert in_mongodb() == in_postgres()


def _posts(user, room_id, key) -> bool:
    try:
        post(user, room_id, "x", key=key)
    except (BothStoresDown, AliasUnavailable):
        return False
    return True
