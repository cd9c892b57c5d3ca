"""The log tells of what happened, and of nothing else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.messages.storage.cookie import CookieStorage
from django.db import connections
from django.http import HttpRequest
from django.test import RequestFactory

from accounts.models import User
from customers.admin import BusinessEntityAdmin
from customers.models import BusinessEntity
from documents.admin import DocumentAdmin
from documents.models import Document
from tests.homes import databases_of
from tests.people import a_superuser, signed_in

pytestmark = pytest.mark.django_db(
    transaction=True, databases=databases_of("customers", "documents")
)


class Broken(Exception):
    """What goes wrong in these tests, late."""


class BrokenPages:
    """An admin whose pages fail behind the change: the transaction is rolled back."""

    def response_add(self, *args: Any, **kwargs: Any) -> Any:
        raise Broken

    def response_change(self, *args: Any, **kwargs: Any) -> Any:
        raise Broken

    def response_delete(self, *args: Any, **kwargs: Any) -> Any:
        raise Broken

    def delete_queryset(self, *args: Any, **kwargs: Any) -> Any:
        raise Broken


class BrokenDocuments(BrokenPages, DocumentAdmin): ...


class BrokenEntities(BrokenPages, BusinessEntityAdmin): ...


@pytest.fixture
def user() -> User:
    return a_superuser()


@pytest.fixture(params=[BrokenDocuments, BrokenEntities], ids=["elsewhere", "in the primary"])
def broken(request: pytest.FixtureRequest) -> Any:
    model = Document if request.param is BrokenDocuments else BusinessEntity
    return request.param(model, admin.site)


@pytest.fixture
def row(broken: Any, user: User) -> Any:
    if broken.model is Document:
        return Document.objects.create(title="Lease", owner_id=user.pk)
    return BusinessEntity.objects.create(legal_name="Acme Inc.", owner=user)


def post(user: User, values: dict[str, Any]) -> HttpRequest:
    """Return a request that somebody sends from the admin."""
    request = RequestFactory().post("/admin/", values)
    request.user = user
    request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
    request._messages = CookieStorage(request)  # type: ignore[attr-defined]
    return request


def typed(row: Any) -> dict[str, Any]:
    """Return what a person sends with the form of this row."""
    if isinstance(row, Document):
        return {
            "title": "Changed", "kind": "contract", "owner_id": row.owner_id, "status": "draft",
            "versions-TOTAL_FORMS": 0, "versions-INITIAL_FORMS": 0,
        }  # fmt: skip
    return {
        "legal_name": "Changed", "kind": "llc", "country": "US", "owner": row.owner_id,
        "status": "active", "subscriptions-TOTAL_FORMS": 0, "subscriptions-INITIAL_FORMS": 0,
    }  # fmt: skip


class TestAChangeThatIsRolledBack:
    def test_leaves_no_entry_when_it_was_an_addition(
        self, broken: Any, row: Any, user: User
    ) -> None:
        with pytest.raises(Broken):
            broken.add_view(post(user, typed(row)))

        assert broken.model.objects.get() == row
        assert not LogEntry.objects.exists()

    def test_leaves_no_entry_when_it_was_a_change(self, broken: Any, row: Any, user: User) -> None:
        with pytest.raises(Broken):
            broken.change_view(post(user, typed(row)), str(row.pk))

        assert str(broken.model.objects.get()) == str(row)
        assert not LogEntry.objects.exists()

    def test_leaves_no_entry_when_it_was_a_deletion(
        self, broken: Any, row: Any, user: User
    ) -> None:
        with pytest.raises(Broken):
            broken.delete_view(post(user, {"post": "yes"}), str(row.pk))

        assert broken.model.objects.exists()
        assert not LogEntry.objects.exists()

    def test_leaves_no_entry_when_it_was_a_deletion_of_many(
        self, broken: Any, row: Any, user: User
    ) -> None:
        values = {"action": "delete_selected", "_selected_action": str(row.pk), "post": "yes"}

        with pytest.raises(Broken):
            broken.changelist_view(post(user, values))

        assert broken.model.objects.exists()
        assert not LogEntry.objects.exists()


@pytest.fixture
def full_log() -> Iterator[None]:
    """A log that takes no entry, as where the primary's disk is full."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "ALTER TABLE django_admin_log ADD CONSTRAINT full_log CHECK (false) NOT VALID"
        )
    yield
    with connections["default"].cursor() as cursor:
        cursor.execute("ALTER TABLE django_admin_log DROP CONSTRAINT full_log")


@pytest.mark.usefixtures("full_log")
class TestAnEntryThatCannotBeWritten:
    def test_is_reported_and_the_change_elsewhere_stands(
        self, user: User, caplog: pytest.LogCaptureFixture
    ) -> None:
        lease = Document.objects.create(title="Lease", owner_id=user.pk)

        with caplog.at_level(logging.ERROR, logger="databases.admin"):
            answer = signed_in(user).post(
                f"/admin/documents/document/{lease.pk}/change/", typed(lease)
            )

        assert answer.status_code == 302
        assert Document.objects.get().title == "Changed"
        lost = next(record for record in caplog.records if record.message == "admin.log.lost")
        assert (lost.model, lost.object_id) == ("documents.document", str(lease.pk))  # type: ignore[attr-defined]

    def test_takes_the_change_with_it_where_both_live_in_the_primary(self, user: User) -> None:
        acme = BusinessEntity.objects.create(legal_name="Acme Inc.", owner=user)
        client = signed_in(user)
        client.raise_request_exception = False

        answer = client.post(f"/admin/customers/businessentity/{acme.pk}/change/", typed(acme))

        assert answer.status_code == 500
        assert BusinessEntity.objects.get().legal_name == "Acme Inc."
