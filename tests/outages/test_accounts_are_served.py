"""Accounts while a store is away: people leave everywhere in the end, and limits still hold."""

from __future__ import annotations

import json

import pytest
from django.db import close_old_connections, connections
from django.test import Client

from accounts.leaving.deleting import delete_account
from accounts.models import Leaving, User
from accounts.throttling.counting import memory
from analytics.models import ActivityEvent
from analytics.services import record_activity
from databases.breaker import AliasUnavailable
from documents.models import Document
from outbox.delivery import drain_once
from outbox.registry import all_sinks
from tests.accounts.conftest import forget_tries
from tests.homes import every_database
from tests.people import PASSWORD, a_user, signed_in
from tests.tracker.world import NOW, documents, forget_mongodb
from tests.waiting import eventually
from tracker.models import Todo
from tracker.services import todos

pytestmark = [
    pytest.mark.outage,
    pytest.mark.django_db(transaction=True, databases=every_database()),
]
ADDRESS = "ada@example.com"
elsewhere = pytest.mark.skipif(
    "analytics" not in connections.settings, reason="In this shape all are one database."
)


@pytest.fixture
def ada() -> User:
    user = a_user(ADDRESS)
    Document.objects.create(title="Diary", owner_id=user.pk)
    record_activity(name="page.viewed", occurred_at=NOW, user_id=user.pk, properties={"a": ADDRESS})
    todos.create_todo(user_id=user.pk, at=NOW, title="Note G")
    drain_once()
    return user


@pytest.fixture(autouse=True)
def in_order():
    forget_mongodb()
    forget_tries()
    yield
    forget_mongodb()
    forget_tries()


def deliver_what_can_be() -> None:
    """Deliver to every sink that is there."""
    for sink in all_sinks():
        try:
            drain_once(sink)
        except AliasUnavailable:
            continue
        finally:
            close_old_connections()


def has_left() -> bool:
    deliver_what_can_be()
    return Leaving.objects.get().done_at is not None


@elsewhere
def test_who_leaves_while_a_database_is_down_is_forgotten_there_afterwards(servers, ada) -> None:
    servers.stop("others")
    delete_account(user_id=ada.pk, origin="http://x")
    deliver_what_can_be()
    meanwhile = Leaving.objects.get()

    assert meanwhile.done_at is None
    assert not Todo.objects.exists()
    assert not User.objects.with_email(ADDRESS).exists()

    servers.start("others")
    eventually(has_left)
    assert not Document.objects.exists()
    assert ActivityEvent.objects.get().properties == {}
    assert Leaving.objects.get().addresses == []
    assert not User.objects.filter(pk=ada.pk).exists()


def test_who_leaves_while_mongodb_is_down_is_gone_from_it_afterwards(servers, ada) -> None:
    servers.stop("mongodb")
    delete_account(user_id=ada.pk, origin="http://x")
    deliver_what_can_be()
    assert not User.objects.with_email(ADDRESS).exists()
    assert Leaving.objects.get().done_at is None, "MongoDB may hold what PostgreSQL has not seen"

    servers.start("mongodb")
    eventually(has_left)

    def is_gone() -> bool:
        deliver_what_can_be()
        try:
            return str(ada.pk) not in str(documents("users")) + str(documents("todos"))
        except AliasUnavailable:
            return False

    eventually(is_gone)


@elsewhere
def test_an_export_names_what_is_missing(servers, ada) -> None:
    client = signed_in(ada)
    servers.stop("others")

    found = json.loads(client.get("/api/auth/me/export").getvalue())

    close_old_connections()
    assert found["tracker"]["todos"][0]["title"] == "Note G"
    assert "documents.documents" in found["missing"]
    assert "analytics.activity" in found["missing"]


def test_tries_are_limited_in_each_process_while_redis_is_down(servers) -> None:
    a_user(ADDRESS)
    client = Client()
    body = {"email": ADDRESS, "password": "wrong-password"}
    servers.stop("redis")
    memory.forget()

    statuses = [
        client.post("/api/auth/login", body, content_type="application/json").status_code
        for _ in range(11)
    ]
    right = client.post(
        "/api/auth/login",
        {"email": "grace@example.com", "password": PASSWORD},
        content_type="application/json",
    )

    assert statuses == [401] * 10 + [429]
    assert right.status_code == 401
    servers.start("redis")
