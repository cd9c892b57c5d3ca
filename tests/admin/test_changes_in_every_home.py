"""Adding, changing, deleting and acting in the admin, for a model of every home."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.db import connections
from django.db.models import Model
from django.test import Client

from analytics.models import BusinessMetric
from compliance.models import Filing
from customers.models import BusinessEntity
from databases.aliases import declared_home
from documents.models import Document
from tests.homes import databases_of, home_of
from tests.people import signed_in, somebody_who_may_do_all
from workspace.models import ImportBatch, ReferenceRow

pytestmark = pytest.mark.django_db(
    transaction=True,
    databases=databases_of("customers", "analytics", "documents", "compliance", "workspace"),
)


@dataclass(frozen=True)
class Page:
    """What a person types into the form of one model."""

    model: type[Model]
    typed: Callable[[Any], dict[str, Any]]
    changed: dict[str, Any]

    @property
    def address(self) -> str:
        """Where its list is."""
        return f"/admin/{self.model._meta.app_label}/{self.model._meta.model_name}/"

    @property
    def rows(self) -> Any:
        """Its rows, in the database where they should be."""
        return self.model._default_manager.using(home_of(self.model))


PAGES = [
    Page(
        BusinessEntity,
        lambda user: {
            "legal_name": "Acme Inc.", "kind": "llc", "country": "US", "owner": user.pk,
            "status": "active", "subscriptions-TOTAL_FORMS": 0, "subscriptions-INITIAL_FORMS": 0,
        },
        {"legal_name": "Acme LLC"},
    ),
    Page(
        BusinessMetric,
        lambda _user: {
            "name": "revenue.recurring", "period": "month", "period_starts_at_0": "2026-01-01",
            "period_starts_at_1": "00:00:00", "value": "12", "unit": "count",
        },
        {"value": "13"},
    ),
    Page(
        Document,
        lambda user: {
            "title": "Lease", "kind": "contract", "owner_id": user.pk, "status": "draft",
            "versions-TOTAL_FORMS": 0, "versions-INITIAL_FORMS": 0,
        },
        {"title": "Lease, amended"},
    ),
    Page(
        Filing,
        lambda _user: {
            "customer_id": uuid.uuid4(), "kind": "tax_return", "jurisdiction": "US-CA",
            "period_starts_on": "2025-01-01", "period_ends_on": "2025-12-31",
            "due_on": "2026-04-15", "status": "ready", "fee_cents": 0, "currency": "USD",
        },
        {"due_on": "2026-10-15"},
    ),
    Page(
        ReferenceRow,
        lambda _user: {
            "catalog": "naics", "key": "5311", "label": "Lessors of real estate", "values": "{}",
            "valid_from": "2022-01-01",
        },
        {"label": "Lessors"},
    ),
]  # fmt: skip
every_home = pytest.mark.parametrize("page", PAGES, ids=[page.model.__name__ for page in PAGES])


@pytest.fixture
def user() -> Any:
    return somebody_who_may_do_all()


@pytest.fixture
def client(user: Any) -> Client:
    return signed_in(user)


@pytest.fixture
def row(client: Client, user: Any, request: pytest.FixtureRequest) -> Any:
    """A row that was added by hand."""
    page: Page = request.getfixturevalue("page")
    client.post(page.address + "add/", page.typed(user))
    return page.rows.get()


def log_of(row: Any) -> list[tuple[int, str]]:
    """Return (what, text) of every entry about the row, oldest first, out of the primary."""
    entries = LogEntry.objects.using("default").filter(object_id=str(row.pk)).order_by("pk")
    return [(entry.action_flag, entry.object_repr) for entry in entries]


def test_the_pages_cover_every_home_that_people_write_to() -> None:
    homes = {declared_home(page.model._meta.app_label) for page in PAGES}

    assert homes == {"default", "analytics", "documents", "compliance", "data"}


@every_home
class TestARow:
    def test_is_added_in_its_home_and_logged_in_the_primary(
        self, page: Page, client: Client, user: Any
    ) -> None:
        answer = client.post(page.address + "add/", page.typed(user))

        assert answer.status_code == 302
        assert log_of(page.rows.get()) == [(ADDITION, str(page.rows.get()))]

    def test_is_changed_in_its_home_and_logged_in_the_primary(
        self, page: Page, client: Client, user: Any, row: Any
    ) -> None:
        answer = client.post(f"{page.address}{row.pk}/change/", page.typed(user) | page.changed)

        assert answer.status_code == 302
        for name, value in page.changed.items():
            assert str(page.rows.values_list(name, flat=True).get()).startswith(value)
        assert [what for what, _ in log_of(row)] == [ADDITION, CHANGE]

    def test_is_deleted_in_its_home_and_logged_in_the_primary(
        self, page: Page, client: Client, row: Any
    ) -> None:
        answer = client.post(f"{page.address}{row.pk}/delete/", {"post": "yes"})

        assert answer.status_code == 302
        assert not page.rows.exists()
        assert log_of(row)[1:] == [(DELETION, str(row))]

    def test_is_deleted_by_the_action_and_logged_in_the_primary(
        self, page: Page, client: Client, row: Any
    ) -> None:
        chosen = {"action": "delete_selected", "_selected_action": str(row.pk)}

        confirmation = client.post(page.address, chosen)
        answer = client.post(page.address, chosen | {"post": "yes"})

        assert str(row) in confirmation.content.decode()
        assert answer.status_code == 302
        assert not page.rows.exists()
        assert log_of(row)[1:] == [(DELETION, str(row))]

    def test_is_found_by_the_search_and_shows_its_history(
        self, page: Page, client: Client, row: Any
    ) -> None:
        listed = client.get(page.address, {"q": str(next(iter(page.changed.values())))[:4]})
        history = client.get(f"{page.address}{row.pk}/history/")

        assert listed.status_code == 200
        assert "Added" in history.content.decode()


ACTIONS = [
    (BusinessEntity, "suspend", "suspended"),
    (Document, "archive", "archived"),
    (Filing, "submit", "submitted"),
]


@pytest.mark.parametrize(("model", "action", "status"), ACTIONS)
def test_an_action_changes_the_rows_in_their_home_and_is_logged_in_the_primary(
    model: Any, action: str, status: str, client: Client, user: Any
) -> None:
    page = next(page for page in PAGES if page.model is model)
    client.post(page.address + "add/", page.typed(user))
    row = page.rows.get()

    answer = client.post(page.address, {"action": action, "_selected_action": str(row.pk)})

    assert answer.status_code == 302
    assert page.rows.get().status == status
    entry = LogEntry.objects.filter(action_flag=CHANGE).get()
    assert entry.object_id == str(row.pk)
    assert entry.get_change_message() == f"{status.capitalize()}."


def test_an_import_that_machines_write_can_be_canceled(client: Client, user: Any) -> None:
    batch = ImportBatch.objects.create(source_name="rows.csv", created_by_id=user.pk)

    client.post(
        "/admin/workspace/importbatch/",
        {"action": "cancel", "_selected_action": str(batch.pk)},
    )

    batch.refresh_from_db()
    assert batch.status == ImportBatch.Status.CANCELED
    assert batch.finished_at is not None
    assert log_of(batch) == [(CHANGE, "rows.csv (pending)")]


def test_no_transaction_is_held_open_elsewhere_while_the_log_is_written(
    client: Client, user: Any
) -> None:
    page = next(page for page in PAGES if page.model is Document)
    open_elsewhere: list[list[str]] = []

    def look(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith('INSERT INTO "django_admin_log"'):
            open_elsewhere.append(
                [
                    held.alias
                    for held in connections.all(initialized_only=True)
                    if held.in_atomic_block and held.alias != "default"
                ]
            )
        return execute(sql, *rest)

    with connections["default"].execute_wrapper(look):
        client.post(page.address + "add/", page.typed(user))

    assert open_elsewhere == [[]]
