"""A token in the header, and nowhere else, opens what its scopes name, and costs one query."""

from __future__ import annotations

import datetime as dt
from contextlib import ExitStack

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, connections
from django.test import AsyncClient, override_settings
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import PersonalToken, User
from accounts.oauth.services.personal import create_token
from common.access import Scope
from tests.accounts.oauth.flows import an_app, call
from tests.homes import databases_of
from tests.people import a_user, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api.urls")]


@pytest.fixture
def user():
    return a_user()


def personal(user: User, *scopes: str, at: dt.datetime | None = None) -> str:
    made = create_token(
        user_id=user.pk, name="A script", scopes=scopes, days=30, at=at or timezone.now()
    )
    return made.value


@pytest.fixture(params=["access token", "personal token"])
def token(request, user) -> str:
    """Return a token for the tracker."""
    if request.param == "personal token":
        return personal(user, "tracker")
    return an_app().tokens(user)["access_token"]


def test_a_token_is_recognised_and_says_what_it_is(token, request) -> None:
    assert call(token, "/api/probe/mine").json() == {"by": request.node.callspec.params["token"]}


def test_asynchronous_operations_know_it_too(token) -> None:
    answer = async_to_sync(AsyncClient().get)(
        "/api/probe/later", headers={"authorization": f"Bearer {token}"}
    )

    assert answer.status_code == 200


def test_a_change_needs_no_csrf_token_and_no_session(token) -> None:
    answer = call(
        token,
        "/api/probe/mine",
        "POST",
        data='{"fileUrl": "a", "totalPoints": 1}',
        content_type="application/json",
    )

    assert answer.status_code == 200
    assert "sessionid" not in answer.cookies


def test_a_request_costs_one_query(token) -> None:
    call(token, "/api/probe/mine")

    with CaptureQueriesContext(connection) as queries:
        assert call(token, "/api/probe/mine").status_code == 200

    assert len(queries) == 1
    assert "django_session" not in queries[0]["sql"]


@pytest.mark.django_db(databases=databases_of("accounts"))
def test_no_replica_is_asked(token) -> None:
    copies = [connections[alias] for alias in databases_of("accounts") if alias != "default"]

    with ExitStack() as stack:
        asked = [stack.enter_context(CaptureQueriesContext(copy)) for copy in copies]
        assert call(token, "/api/probe/mine").status_code == 200

    assert [len(each) for each in asked] == [0] * len(copies)


def test_another_scope_is_refused_with_the_name_of_the_right_one(user) -> None:
    token = personal(user, "zones:read")

    refused = call(token, "/api/probe/mine")

    assert (refused.status_code, refused.json()["code"]) == (403, "access.scope_missing")
    assert refused.json()["scope"] == "tracker"
    assert 'error="insufficient_scope", scope="tracker"' in refused["WWW-Authenticate"]


@pytest.mark.parametrize(
    "given", ["x", "pst_unknown", "psa_unknown", "psa_\x7f", "pst_" + "x" * 5_000, "psr_a", "å"]
)
def test_what_nobody_gave_out_is_refused_with_or_without_a_session(user, given) -> None:
    browser = signed_in(user)
    headers = {"authorization": f"Bearer {given}"}

    for each in (browser, Browser()):
        refused = each.get("/api/probe/mine", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (401, "access.token_refused")
        assert 'error="invalid_token"' in refused["WWW-Authenticate"]


@pytest.mark.parametrize("name", ["access_token", "token", "bearer_token"])
def test_a_token_in_the_query_or_the_form_opens_nothing(token, name) -> None:
    assert Browser().get(f"/api/probe/mine?{name}={token}").status_code == 401
    assert Browser().post("/api/probe/mine", {name: token}).status_code == 401


@pytest.mark.parametrize("header", ["Basic {}", "{}", "Token {}", "Bearer"])
def test_other_headers_open_nothing(token, header) -> None:
    headers = {"authorization": header.format(token)}

    assert Browser().get("/api/probe/mine", headers=headers).status_code == 401


def test_the_token_counts_where_a_session_of_somebody_else_comes_along(token, user) -> None:
    browser = signed_in(a_user("other@example.com"))

    answer = browser.get("/api/todos", headers={"authorization": f"Bearer {token}"})

    assert answer.status_code == 200
    assert answer.wsgi_request.user == user


def test_pages_are_not_opened_by_tokens(token) -> None:
    assert call(token, "/account/tokens/").status_code == 302
    assert call(token, "/admin/").status_code == 302


class TestStaff:
    def test_need_the_scope_and_their_rank(self, user) -> None:
        User.objects.update(is_staff=True)
        right, wrong = personal(user, "operations"), personal(user, "tracker")

        assert call(right, "/api/probe/operations").status_code == 200
        assert call(wrong, "/api/probe/operations").status_code == 403
        assert call(right, "/api/probe/backups").status_code == 403

    def test_scopes_are_not_for_others(self, user) -> None:
        app = an_app(scopes=("operations", "tracker"))
        token = app.tokens(user, scope="operations tracker")["access_token"]

        assert call(token, "/api/probe/operations").status_code == 403
        assert call(token, "/api/probe/staff-users").status_code == 403
        assert call(token, "/api/probe/mine").status_code == 200


class TestTheLastUse:
    def test_is_noted_once_a_minute(self, user) -> None:
        token = personal(user, "tracker")

        def use() -> dt.datetime:
            call(token, "/api/probe/mine")
            noted = PersonalToken.objects.get().last_used_at
            assert noted is not None
            return noted

        first = use()
        assert use() == first
        PersonalToken.objects.update(last_used_at=first - dt.timedelta(seconds=61))
        assert use() > first

    def test_does_not_send_its_callers_reads_to_the_primary(self, user) -> None:
        answer = call(personal(user, "tracker"), "/api/probe/mine")

        assert PersonalToken.objects.get().last_used_at is not None
        assert "X-Causal-Token" not in answer


@pytest.mark.django_db(transaction=True, databases=databases_of("accounts"))
class TestAPrimaryThatDoesNotWrite:
    """What a failover leaves for moments: the rows can be read and not written."""

    def test_serves_what_only_reads(self, user, caplog) -> None:
        token = personal(user, "tracker")
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")
        try:
            assert call(token, "/api/probe/mine").status_code == 200
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SET default_transaction_read_only = off")

        assert "accounts.token.use_not_noted" in caplog.text
        assert PersonalToken.objects.get().last_used_at is None

    def test_is_not_waited_for_where_somebody_holds_the_row(self, user) -> None:
        token = personal(user, "tracker")
        other = connections["default"].copy()
        try:
            other.set_autocommit(False)
            with other.cursor() as cursor:
                cursor.execute("SELECT 1 FROM accounts_personaltoken FOR UPDATE")
            assert call(token, "/api/probe/mine").status_code == 200
        finally:
            other.rollback()
            other.close()

        assert PersonalToken.objects.get().last_used_at is None


@pytest.mark.parametrize("scope", list(Scope))
def test_every_scope_is_explained_to_people(scope) -> None:
    from accounts.oauth.policies import DESCRIPTIONS

    assert DESCRIPTIONS[scope]


def test_the_collector_of_metrics_keeps_its_own_token(db) -> None:
    with override_settings(METRICS_TOKEN="a-token-for-the-collector"):
        assert call("a-token-for-the-collector", "/metrics").status_code == 200
