"""The ways through both stores: bounded, counted, and never inside a transaction."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Timer
from uuid import UUID

import pytest
from django.test import override_settings

from databases.breaker import RARE, RARE_WAIT
from databases.stores import mongo
from databases.transactions import TransactionHeldOpen, atomic_for
from messaging.models import DirectMessage
from messaging.services.messages import post_message
from messaging.stores import (
    BothStoresDown,
    check_database_health,
    sync_to_both_databases,
    with_mongo_fallback,
)
from messaging.stores.doors import CALLS, Mode
from messaging.stores.mongodb import MongoMessages
from messaging.stores.postgres import PostgresMessages
from messaging.stores.states import State
from tests.homes import databases_of
from tests.messaging.world import opened
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("messaging"))


def count(operation: str, served_by: str) -> float:
    return CALLS.labels(operation, served_by)._value.get()


def pause(seconds: float) -> None:
    """Let time pass: a caller is rare only after some."""
    Event().wait(seconds)


def reading(room: UUID) -> Callable[[], float]:
    """Return what reads a page through the door, and returns the seconds that it took."""
    store, behind = MongoMessages(), PostgresMessages()

    def read() -> float:
        begun = time.monotonic()
        with_mongo_fallback(
            lambda: store.older(room, than=None, limit=50),
            lambda: behind.older(room, than=None, limit=50),
            "A_TEST",
        )
        return time.monotonic() - begun

    return read


def test_mongodb_answers_and_is_counted() -> None:
    before = count("A_TEST", "mongodb")

    assert with_mongo_fallback(lambda: 1, lambda: 2, "A_TEST") == 1
    assert count("A_TEST", "mongodb") == before + 1


def test_a_fault_of_ours_is_no_outage() -> None:
    def broken() -> int:
        raise KeyError("x")

    with pytest.raises(KeyError):
        with_mongo_fallback(broken, lambda: 2, "A_TEST")


def test_neither_runs_inside_a_transaction() -> None:
    with atomic_for("messaging"):
        with pytest.raises(TransactionHeldOpen):
            with_mongo_fallback(lambda: 1, lambda: 2, "A_TEST")
        with pytest.raises(TransactionHeldOpen):
            sync_to_both_databases(
                write_mongo=lambda: 1,
                copy_to_postgres=lambda _value: None,
                write_postgres=lambda: 2,
                operation="A_TEST",
            )


@pytest.mark.parametrize("url", [""])
def test_without_mongodb_postgresql_serves_and_nothing_is_degraded(url) -> None:
    with override_settings(MONGO_URL=url):
        assert with_mongo_fallback(lambda: 1, lambda: 2, "A_TEST") == 2
        synced = sync_to_both_databases(
            write_mongo=lambda: 1,
            copy_to_postgres=lambda _value: None,
            write_postgres=lambda: 2,
            operation="A_TEST",
        )
        assert (synced.value, synced.mongodb, synced.postgresql) == (2, False, True)
        eventually(lambda: check_database_health().mode is Mode.NORMAL)


@pytest.mark.outage
def test_a_hanging_mongodb_costs_the_first_half_a_second_and_the_next_nothing(
    servers, ann, ben
) -> None:
    read = reading(opened(ann, ben))
    read()
    servers.pause("mongodb")
    first = read()
    eventually(lambda: mongo.breaker().is_open)
    later = sorted(read() for _ in range(50))

    assert first < 0.8
    assert later[25] < 0.05
    assert mongo.breaker().silent
    rare = []
    for _ in range(7):
        pause(2 * RARE)
        rare.append(read())
    assert sorted(rare)[3] < RARE_WAIT / 2
    servers.resume("mongodb")
    eventually(lambda: not mongo.breaker().is_open)


@pytest.mark.outage
def test_a_mongodb_that_is_gone_costs_nobody_but_the_first(servers, ann, ben) -> None:
    read = reading(opened(ann, ben))
    read()
    servers.kill("mongodb")
    first = read()
    crowd = sorted(read() for _ in range(50))
    rare = []
    for _ in range(7):
        pause(2 * RARE)
        rare.append(read())
    servers.start("mongodb")
    eventually(lambda: not mongo.breaker().is_open)

    assert first < 0.6
    assert crowd[48] < 0.05
    assert sorted(rare)[3] < 0.05


@pytest.mark.outage
def test_what_a_writer_has_in_hand_when_mongodb_goes_away_stays_shown(servers, ann, ben) -> None:
    room = opened(ann, ben)
    store, behind = MongoMessages(), PostgresMessages()
    posted = post_message(user_id=ann.pk, room_id=room, content="just now", key=None).state
    # As if its writer had yet to copy it.
    DirectMessage.objects.using("default").filter(id=posted.id).delete()

    def shown() -> list[State]:
        return with_mongo_fallback(
            lambda: store.older(room, than=None, limit=50),
            lambda: behind.older(room, than=None, limit=50),
            "A_TEST",
        )

    assert shown() == [posted]
    servers.kill("mongodb")
    writer = Timer(0.1, behind.put, [[posted]])
    writer.start()
    assert shown() == [posted]

    writer.join()
    servers.start("mongodb")
    eventually(lambda: not mongo.breaker().is_open)


@pytest.mark.outage
def test_a_mongodb_that_refuses_is_told_from_one_that_hangs(servers) -> None:
    mongo.ping()
    for fail, mend, silent in (("kill", "start", False), ("pause", "resume", True)):
        getattr(servers, fail)("mongodb")
        mongo.breaker().suspect("a test")
        eventually(lambda: mongo.breaker().is_open)
        assert mongo.breaker().silent is silent
        getattr(servers, mend)("mongodb")
        eventually(lambda: not mongo.breaker().is_open)
        assert not mongo.breaker().silent


@pytest.mark.outage
def test_when_both_are_away_it_is_said(servers) -> None:
    def away() -> int:
        with mongo.database() as database:
            return int(database.command("ping")["ok"])

    def away_too() -> int:
        PostgresMessages().backlog(most=1)
        return 1

    servers.stop("mongodb")
    servers.stop("primary")
    with pytest.raises(BothStoresDown) as caught:
        with_mongo_fallback(away, away_too, "A_TEST")
    assert (caught.value.status, caught.value.retry_after) == (503, 2)
