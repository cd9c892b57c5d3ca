"""Every operation declares who may call it, and the gate holds them to it."""

from __future__ import annotations

import sys
import types
from importlib.machinery import ModuleSpec

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from ninja import Router

from accounts.models import User
from common.access import ALL_SCOPES, STAFF_SCOPES, Scope, access_of, guarded, public, staff
from config.api import api, build

TOKEN = "a-token-for-the-collector"

pytestmark = pytest.mark.urls("tests.api.urls")


@pytest.fixture
def a_view():
    """Make a view that declares nothing."""

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    return view


@pytest.fixture
def a_module(monkeypatch):
    """Return a function that makes a module with one router."""

    def make(router: Router) -> str:
        module = types.ModuleType("module_of_the_test")
        module.router = router  # type: ignore[attr-defined]
        module.__spec__ = ModuleSpec("module_of_the_test", None)
        monkeypatch.setitem(sys.modules, "module_of_the_test", module)
        return "module_of_the_test"

    return make


@pytest.fixture
def member(db):
    return User.objects.create_user(email="member@example.org")


@pytest.fixture
def member_of_staff(db):
    return User.objects.create_user(email="staff@example.org", is_staff=True)


class TestTheStart:
    def test_is_refused_while_an_operation_declares_nothing(self, a_module, a_view):
        router = Router()
        router.get("/forgotten")(a_view)
        forgetful = build({"/x": a_module(router)}, namespace="forgetful")

        with pytest.raises(ImproperlyConfigured, match="does not declare who may call it"):
            _ = forgetful.urls

    def test_is_refused_when_an_operation_sets_its_own_authentication(self, a_module, a_view):
        router = Router()
        router.get("/own", auth=a_view)(public(a_view))
        own = build({"/x": a_module(router)}, namespace="own")

        with pytest.raises(ImproperlyConfigured, match="Remove it"):
            _ = own.urls

    def test_is_refused_for_an_unknown_scope(self):
        with pytest.raises(ValueError, match="no-such-scope"):
            staff("no-such-scope")

    def test_is_refused_when_access_is_declared_twice(self, a_view):
        with pytest.raises(ValueError, match="twice"):
            public(staff("admin")(a_view))

    def test_is_refused_when_a_plain_view_declares_nothing(self, a_view):
        with pytest.raises(ValueError, match="does not declare"):
            guarded(a_view)

    def test_finds_access_on_every_operation_of_the_site(self):
        operations = [
            operation
            for bound in api._get_bound_routers()
            for view in bound.path_operations.values()
            for operation in view.operations
        ]

        assert operations
        assert all(access_of(operation.view_func) for operation in operations)


class TestAStranger:
    def test_may_call_what_is_public(self, client, db):
        assert client.get("/api/probe/open").json() == {"staff": False}

    @pytest.mark.parametrize("path", ["mine", "operations", "later", "backups"])
    def test_is_asked_to_sign_in_elsewhere(self, client, db, path):
        response = client.get(f"/api/probe/{path}")

        assert response.status_code == 401
        assert response["WWW-Authenticate"].startswith("Bearer")
        assert response.json()["code"] == "access.sign_in_needed"

    def test_gets_nowhere_with_a_token_that_nobody_gave_out(self, client, db, settings):
        settings.METRICS_TOKEN = TOKEN

        response = client.get("/api/probe/operations", headers={"authorization": "Bearer wrong"})

        assert response.status_code == 401

    def test_gets_nowhere_with_an_empty_token_where_none_is_set(self, client, db, settings):
        settings.METRICS_TOKEN = ""

        response = client.get("/api/probe/operations", headers={"authorization": "Bearer "})

        assert response.status_code == 401


class TestASession:
    def test_is_recognised(self, client, member):
        client.force_login(member)

        assert client.get("/api/probe/mine").json() == {"by": "session"}

    def test_is_recognised_by_asynchronous_operations(self, member):
        client = AsyncClient()
        client.force_login(member)

        response = async_to_sync(client.get)("/api/probe/later")

        assert response.json() == {"by": "session"}

    def test_of_a_member_does_not_open_what_is_for_staff(self, client, member):
        client.force_login(member)

        response = client.get("/api/probe/operations")

        assert response.status_code == 403
        assert response.json()["code"] == "access.staff_only"

    def test_of_a_member_lacks_the_scopes_of_staff(self, client, member):
        client.force_login(member)

        response = client.get("/api/probe/staff-users")

        assert response.status_code == 403
        assert response.json()["scope"] == "operations"

    def test_of_staff_opens_it(self, client, member_of_staff):
        client.force_login(member_of_staff)

        assert client.get("/api/probe/operations").json() == {"by": "session"}
        assert client.get("/api/probe/open").json() == {"staff": True}

    def test_of_a_user_who_was_deactivated_is_a_strangers(self, client, member):
        client.force_login(member)
        User.objects.update(is_active=False)

        assert client.get("/api/probe/mine").status_code == 401

    def test_changes_nothing_without_the_token_of_our_pages(self, member):
        client = Client(enforce_csrf_checks=True)
        client.force_login(member)
        body = {"fileUrl": "a", "totalPoints": 1}

        refused = client.post("/api/probe/mine", body, content_type="application/json")
        client.get("/api/docs")  # a page of ours, which sets the cookie
        token = client.cookies["csrftoken"].value
        taken = client.post(
            "/api/probe/mine",
            body,
            content_type="application/json",
            headers={"x-csrftoken": token},
        )

        assert refused.status_code == 403
        assert refused.json()["code"] == "access.csrf"
        assert taken.status_code == 200


class TestTheCollectorsToken:
    def test_counts_as_staff_for_operations(self, client, settings):
        settings.METRICS_TOKEN = TOKEN

        response = client.get("/api/probe/operations", headers={"authorization": f"Bearer {TOKEN}"})

        assert response.json() == {"by": "metrics token"}

    def test_opens_nothing_else(self, client, settings):
        settings.METRICS_TOKEN = TOKEN

        response = client.get("/api/probe/backups", headers={"authorization": f"Bearer {TOKEN}"})

        assert response.status_code == 403
        assert response.json()["scope"] == "backups"

    def test_is_judged_alone_even_beside_a_session(self, client, member_of_staff, settings):
        settings.METRICS_TOKEN = TOKEN
        client.force_login(member_of_staff)

        response = client.get("/api/probe/backups", headers={"authorization": "Bearer stolen"})

        assert response.status_code == 401


def test_the_scopes_of_staff_belong_to_the_vocabulary():
    assert STAFF_SCOPES < ALL_SCOPES == frozenset(Scope)
