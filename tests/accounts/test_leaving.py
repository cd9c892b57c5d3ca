"""Export, closing and deletion reach every app and store, also those that are down meanwhile."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from django.test import Client

from accounts import events
from accounts.leaving.deleting import delete_account
from accounts.models import Leaving, User
from analytics.models import ActivityEvent
from analytics.services import record_activity
from compliance.models import AuditRecord
from compliance.services import record_audit
from customers.models import BusinessEntity
from databases.stores import mongo, redis
from documents.models import Document
from outbox.delivery import drain_once
from outbox.models import DeliveredEvent, OutboxEvent
from tests.homes import every_database
from tests.people import PASSWORD, a_superuser, a_user, signed_in
from tests.tracker.world import forget_mongodb
from tracker.models import Friendship, Standing, Todo
from tracker.services import friends, reports, timers, todos

pytestmark = pytest.mark.django_db(transaction=True, databases=every_database())
ADDRESS = "ada.of-everywhere@example.com"
NOW = dt.datetime(2026, 3, 18, 12, 0, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def empty_mongodb():
    forget_mongodb()
    yield
    forget_mongodb()


@pytest.fixture
def ada() -> User:
    """Make somebody who left something in every app."""
    user = a_user(ADDRESS, first_name="Ada", last_name="Lovelace")
    friend = a_user("grace@example.com")
    EmailAddress.objects.create(user=user, email=ADDRESS, primary=True, verified=True)
    todos.create_todo(user_id=user.pk, at=NOW, title="Note G", done=True)
    timers.start_timer(user_id=user.pk, at=NOW)
    reports.file_report(user_id=user.pk, day=NOW.date(), hours=Decimal(2), mood=4, notes="", at=NOW)
    friends.request_friendship(user_id=user.pk, other_id=friend.pk, at=NOW)
    BusinessEntity.objects.create(
        legal_name="Engines Ltd", owner=friend, contact_email=ADDRESS.upper()
    )
    Document.objects.create(title="Diary", owner_id=user.pk)
    record_activity(name="page.viewed", occurred_at=NOW, user_id=user.pk, properties={"a": ADDRESS})
    record_audit(event_type="user.signed_in", occurred_at=NOW, actor_id=user.pk)
    LogEntry.objects.create(
        user=a_superuser(),
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(user.pk),
        object_repr=ADDRESS,
        action_flag=ADDITION,
    )
    DeliveredEvent.objects.create(
        id=1, sink="x", aggregate_type="x", aggregate_id="1", event_type="x.y", schema=1,
        payload={"to": ADDRESS}, created_at=NOW, attempts=0,
    )  # fmt: skip
    drain_once()
    return user


def post(client: Client, path: str, body: object = None):
    """Send JSON."""
    return client.post(f"/api/auth/{path}", body or {}, content_type="application/json")


def dumps() -> dict[str, str]:
    """Return everything that PostgreSQL, MongoDB and Redis hold, as text."""
    found = {}
    program = Path(os.environ["POSTGRES_BIN_DIR"]) / "pg_dump"
    for alias in settings.DATABASES:
        if alias.startswith("replica"):
            continue
        at = connections[alias].settings_dict
        place = [f"--host={at['HOST']}", f"--port={at['PORT']}", f"--username={at['USER']}"]
        found[alias] = subprocess.run(
            [program, "--data-only", "--inserts", *place, at["NAME"]],
            env={"PGPASSWORD": at.get("PASSWORD", "")},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
    with mongo.database(timeout=10) as database:
        found["mongodb"] = str(
            {name: list(database[name].find()) for name in database.list_collection_names()}
        )
    client = redis.client()
    found["redis"] = str({key: client.dump(key) for key in client.scan_iter()})
    return found


class TestTheExport:
    def test_holds_what_every_app_keeps(self, ada) -> None:
        answer = signed_in(ada).get("/api/auth/me/export")

        found = json.loads(answer.getvalue())
        assert answer["Content-Disposition"].startswith("attachment")
        assert found["userId"] == str(ada.pk)
        assert found["accounts"]["profile"][0]["email"] == ADDRESS
        assert found["tracker"]["todos"][0]["title"] == "Note G"
        assert len(found["tracker"]["friendships"]) == 1
        assert found["documents"]["documents"][0]["title"] == "Diary"
        assert found["analytics"]["activity"][0]["properties"] == {"a": ADDRESS}
        assert found["compliance"]["auditRecords"][0]["eventType"] == "user.signed_in"
        assert found["missing"] == []

    def test_holds_no_secret_and_nothing_of_others(self, ada) -> None:
        text = signed_in(ada).get("/api/auth/me/export").getvalue().decode()

        assert ada.password not in text
        assert "grace@example.com" not in text

    def test_comes_through_the_page_too(self, ada) -> None:
        answer = signed_in(ada).post("/account/export/")

        assert json.loads(answer.getvalue())["userId"] == str(ada.pk)

    def test_is_limited(self, ada) -> None:
        client = signed_in(ada)

        statuses = [client.get("/api/auth/me/export").status_code for _ in range(6)]

        assert statuses == [200] * 5 + [429]


class TestDeletion:
    def test_leaves_the_address_nowhere(self, ada, letters) -> None:
        client, elsewhere = signed_in(ada), signed_in(ada)
        assert any(ADDRESS in text.lower() for text in dumps().values())

        answer = post(client, "me/delete", {"password": PASSWORD})
        (letter,) = letters()
        drain_once()

        assert answer.status_code == 204
        assert letter.to == [ADDRESS]
        assert elsewhere.get("/api/users/me").status_code == 401
        left = {store for store, text in dumps().items() if ADDRESS in text.lower()}
        assert left == set()
        assert not User.objects.filter(pk=ada.pk).exists()
        assert not Todo.objects.exists()
        assert not Friendship.objects.exists()
        assert not Standing.objects.filter(user_id=ada.pk).exists()
        assert not Document.objects.exists()
        assert BusinessEntity.objects.get().contact_email == ""

    def test_keeps_what_the_law_wants_kept_and_what_counts_for_others(self, ada) -> None:
        delete_account(user_id=ada.pk, origin="http://x")
        drain_once()

        assert AuditRecord.objects.get(event_type="user.signed_in").actor_id == ada.pk
        assert ActivityEvent.objects.get().user_id is None

    def test_frees_the_address_at_once(self, ada) -> None:
        delete_account(user_id=ada.pk, origin="http://x")

        a_user(ADDRESS)
        drain_once()

        assert User.objects.with_email(ADDRESS).exists()

    def test_told_again_does_nothing(self, ada) -> None:
        delete_account(user_id=ada.pk, origin="http://x")
        told = list(OutboxEvent.objects.filter(aggregate_type="leaving"))
        drain_once()
        leaving = Leaving.objects.get()
        OutboxEvent.objects.bulk_create(told)
        drain_once()

        assert leaving.done_at is not None
        assert Leaving.objects.get().addresses == []
        assert set(leaving.steps.values_list("app_label", flat=True)) == {
            "accounts", "analytics", "caches", "customers", "documents", "messaging", "tracker",
        }  # fmt: skip

    def test_keeps_a_nameless_row_where_others_need_it(self, ada) -> None:
        entity = BusinessEntity.objects.create(legal_name="Mine", owner=ada)
        delete_account(user_id=ada.pk, origin="http://x")
        drain_once()

        shell = User.objects.get(pk=ada.pk)
        assert (shell.email, shell.name) == (f"{ada.pk}@deleted.invalid", str(ada.pk))
        assert not shell.is_active
        assert Leaving.objects.get().done_at is not None
        entity.refresh_from_db()

    def test_needs_the_password_and_a_session(self, ada, client) -> None:
        assert post(client, "me/delete", {"password": PASSWORD}).status_code == 401
        assert post(signed_in(ada), "me/delete", {"password": "wrong"}).status_code == 403
        assert User.objects.active().filter(pk=ada.pk).exists()

    def test_on_the_page_needs_to_be_meant(self, ada) -> None:
        client = signed_in(ada)

        careless = client.post("/account/delete/", {"password": PASSWORD})
        meant = client.post("/account/delete/", {"password": PASSWORD, "sure": "on"})

        assert "required" in careless.content.decode()
        assert "Good-bye" in meant.content.decode()
        assert client.get("/account/").status_code == 302

    def test_is_told_without_the_address(self, ada, heard) -> None:
        delete_account(user_id=ada.pk, origin="http://x")

        (told,) = heard(events.DELETED)
        assert (told.aggregate_id, ADDRESS in str(told.payload)) == (str(ada.pk), False)


class TestClosing:
    def test_bars_the_account_until_an_operator_opens_it(self, ada, heard) -> None:
        client, elsewhere = signed_in(ada), signed_in(ada)

        answer = post(client, "me/deactivate", {"password": PASSWORD})

        assert answer.status_code == 204
        assert elsewhere.get("/api/users/me").status_code == 401
        assert post(client, "login", {"email": ADDRESS, "password": PASSWORD}).status_code == 401
        assert Todo.objects.exists()
        assert len(heard(events.DEACTIVATED)) == 1

    def test_is_done_on_the_page(self, ada) -> None:
        answer = signed_in(ada).post("/account/deactivate/", {"password": PASSWORD})

        assert "Your account is closed" in answer.content.decode()
        assert not User.objects.active().filter(pk=ada.pk).exists()
