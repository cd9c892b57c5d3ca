"""Who may open which page, and what nobody may do."""

from __future__ import annotations

import pytest
from django.test import Client

from databases.aliases import Alias
from tests.admin_site import registered
from tests.homes import databases_of
from tests.people import (
    PASSWORD,
    a_superuser,
    a_user,
    an_operator,
    signed_in,
    somebody_who_may_do_all,
)

pytestmark = pytest.mark.django_db(
    databases=databases_of(
        "customers", "caches", "analytics", "documents", "compliance", "workspace"
    )
)
MACHINE_WRITTEN = [
    "analytics/activityevent",
    "analytics/performancemetric",
    "documents/documentversion",
    "documents/processingresult",
    "compliance/auditrecord",
    "workspace/importbatch",
    "workspace/workspacerow",
    "tracker/todo",
    "tracker/timer",
    "tracker/friendship",
    "tracker/dailyreport",
    "tracker/standing",
    "tracker/pointsday",
    "admin/logentry",
]


def test_strangers_are_sent_to_sign_in() -> None:
    answer = Client().get("/admin/")

    assert answer.status_code == 302
    assert answer["Location"].startswith("/admin/login/")


def test_users_who_are_no_staff_are_refused() -> None:
    client = signed_in(a_user())

    assert client.get("/admin/").status_code == 302
    assert client.get("/admin/accounts/user/").status_code == 302
    assert client.post("/admin/documents/document/add/", {}).status_code == 302


def test_staff_without_permissions_see_nothing_of_the_tables() -> None:
    client = signed_in(an_operator())

    assert client.get("/admin/").status_code == 200
    assert client.get("/admin/accounts/user/").status_code == 403
    assert client.get("/admin/compliance/auditrecord/").status_code == 403


def test_the_login_form_takes_the_address_in_any_capitalisation() -> None:
    a_superuser("root@example.com")
    client = Client()

    typed = {"username": "Root@Example.COM", "password": PASSWORD}
    answer = client.post("/admin/login/", typed)

    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


@pytest.mark.parametrize("page", MACHINE_WRITTEN)
def test_what_machines_write_can_be_looked_at_and_not_added_to(page: str) -> None:
    client = signed_in(somebody_who_may_do_all())

    assert client.get(f"/admin/{page}/").status_code == 200
    assert client.get(f"/admin/{page}/add/").status_code == 403
    assert client.post(f"/admin/{page}/add/", {}).status_code == 403


def test_every_list_opens_and_can_be_searched() -> None:
    client = signed_in(somebody_who_may_do_all())

    for model in registered():
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        assert client.get(address).status_code == 200, address
        assert client.get(address, {"q": "anything"}).status_code == 200, address


def test_every_form_to_add_something_opens() -> None:
    client = signed_in(somebody_who_may_do_all())

    for model in registered():
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/add/"
        assert client.get(address).status_code in {200, 403}, address


class TestTheSideBar:
    def test_groups_tables_by_the_database_that_is_their_home(self) -> None:
        page = signed_in(somebody_who_may_do_all()).get("/admin/")

        groups = {group["title"]: group for group in page.context["sidebar_navigation"]}
        assert len(groups) == len(Alias)
        listed = {item["title"] for item in groups["Database “compliance”"]["items"]}
        assert listed == {"Filings", "Legal documents", "Audit records"}
        assert "Users" in {item["title"] for item in groups["Primary database"]["items"]}

    def test_shows_only_what_the_operator_may_look_at(self) -> None:
        page = signed_in(an_operator("documents.view_document")).get("/admin/")

        groups = page.context["sidebar_navigation"]
        assert [item["title"] for group in groups for item in group["items"]] == ["Documents"]
