"""Tokens that people make for their own programs: over the API and on their page."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone

from accounts.models import PersonalToken, User
from accounts.oauth.services import personal
from tests.accounts.oauth.flows import an_app, call
from tests.people import a_user, signed_in

pytestmark = pytest.mark.django_db
URL = "/api/auth/tokens"
PAGE = "/account/tokens/"


@pytest.fixture
def user():
    return a_user()


def make(browser: Browser, **changes: Any) -> Any:
    body = {"name": "A script", "scopes": ["tracker"], "days": 30} | changes
    return browser.post(URL, json.dumps(body), content_type="application/json")


class TestOverTheApi:
    def test_a_token_is_shown_once_and_kept_as_a_checksum(self, user) -> None:
        browser = signed_in(user)

        answer = make(browser)

        made = answer.json()
        assert answer.status_code == 201
        assert answer["Cache-Control"] == "no-store"
        assert made["value"].startswith("pst_")
        assert made["hint"] == made["value"][:8]
        assert call(made["value"]).status_code == 200
        assert made["value"] not in browser.get(URL).content.decode()
        with connection.cursor() as cursor:
            cursor.execute("SELECT t::text FROM accounts_personaltoken t")
            assert made["value"] not in cursor.fetchone()[0]

    def test_lists_are_ones_own(self, user) -> None:
        make(signed_in(a_user("other@example.com")))
        make(signed_in(user), name="Mine")

        listed = signed_in(user).get(URL).json()["items"]

        assert [each["name"] for each in listed] == ["Mine"]
        assert set(listed[0]) == {
            "id", "name", "hint", "scopes", "createdAt", "expiresAt", "lastUsedAt",
        }  # fmt: skip

    def test_a_revoked_token_is_refused_at_once(self, user) -> None:
        browser = signed_in(user)
        made = make(browser).json()

        assert browser.delete(f"{URL}/{made['id']}").status_code == 204

        assert call(made["value"]).status_code == 401
        assert browser.get(URL).json()["items"] == []

    def test_somebody_elses_token_is_not_there(self, user) -> None:
        made = make(signed_in(user)).json()

        refused = signed_in(a_user("other@example.com")).delete(f"{URL}/{made['id']}")

        assert (refused.status_code, refused.json()["code"]) == (404, "tokens.not_found")
        assert call(made["value"]).status_code == 200

    @pytest.mark.parametrize(
        "changes",
        [
            {"name": ""},
            {"name": "   "},
            {"name": "a\nb"},
            {"scopes": []},
            {"scopes": ["no-such"]},
            {"scopes": ["operations"]},
            {"scopes": ["tracker", "admin"]},
            {"days": 0},
            {"days": 367},
            {"days": 10**9},
        ],
    )
    def test_what_cannot_be_is_refused(self, user, changes) -> None:
        assert make(signed_in(user), **changes).status_code == 422
        assert PersonalToken.objects.count() == 0

    def test_there_is_a_limit(self, user, monkeypatch) -> None:
        monkeypatch.setattr(personal, "MOST", 2)
        browser = signed_in(user)

        answers = [make(browser).status_code for _ in range(3)]

        assert answers == [201, 201, 409]

    def test_strangers_make_none(self) -> None:
        assert make(Browser()).status_code == 401

    def test_a_page_of_another_site_makes_none(self, user) -> None:
        browser = Browser(enforce_csrf_checks=True)
        browser.force_login(user)

        assert make(browser).status_code == 403

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_tokens_neither_make_nor_list_tokens(self, user, method) -> None:
        scopes = ["users:read", "users:write"]
        mine = make(signed_in(user), scopes=scopes).json()["value"]
        apps = an_app(scopes=tuple(scopes)).tokens(user, scope=" ".join(scopes))["access_token"]

        for token in (mine, apps):
            refused = call(token, URL, method, data="{}", content_type="application/json")
            assert (refused.status_code, refused.json()["code"]) == (403, "access.in_person_only")


class TestATokenIsDeadAtOnce:
    @pytest.mark.parametrize(
        "deed",
        [
            "UPDATE accounts_user SET is_active = false",
            "UPDATE accounts_user SET password = 'another'",
            "UPDATE accounts_personaltoken SET revoked_at = now()",
            "UPDATE accounts_personaltoken SET created_at = '2020-01-01', expires_at = now()",
        ],
    )
    def test_whatever_sql_ended_it(self, user, deed) -> None:
        value = make(signed_in(user)).json()["value"]

        with connection.cursor() as cursor:
            cursor.execute(deed)

        assert call(value).status_code == 401

    def test_when_its_user_is_deleted(self, user) -> None:
        value = make(signed_in(user)).json()["value"]

        user.delete()

        assert call(value).status_code == 401

    def test_until_the_account_is_active_again_with_the_same_password(self, user) -> None:
        value = make(signed_in(user)).json()["value"]
        User.objects.update(is_active=False)
        assert call(value).status_code == 401

        User.objects.update(is_active=True)

        assert call(value).status_code == 200


class TestThePage:
    def test_is_for_those_who_signed_in(self) -> None:
        assert Browser().get(PAGE).status_code == 302

    def test_shows_a_new_value_once(self, user) -> None:
        browser = signed_in(user)

        made = browser.post(PAGE, {"name": "A script", "scopes": ["tracker"], "days": "30"})
        value = made.context["made"].value

        assert value in made.content.decode()
        assert "no-store" in made["Cache-Control"]
        assert value not in browser.get(PAGE).content.decode()
        assert call(value).status_code == 200

    def test_keeps_what_was_typed_where_something_is_missing(self, user) -> None:
        answer = signed_in(user).post(PAGE, {"name": "A script", "days": "7"})

        page = answer.content.decode()
        assert answer.status_code == 422
        assert 'value="A script"' in page
        assert "Choose at least one scope" in page

    def test_offers_staffs_scopes_to_staff_alone(self, user) -> None:
        assert 'value="operations"' not in signed_in(user).get(PAGE).content.decode()
        User.objects.update(is_staff=True)
        assert 'value="operations"' in signed_in(user).get(PAGE).content.decode()

    def test_revokes(self, user) -> None:
        browser = signed_in(user)
        made = make(browser).json()

        answer = browser.post(f"{PAGE}{made['id']}/revoke", follow=True)

        assert "is revoked" in answer.content.decode()
        assert call(made["value"]).status_code == 401

    def test_says_so_where_there_is_nothing_to_revoke(self, user) -> None:
        made = make(signed_in(a_user("other@example.com"))).json()

        answer = signed_in(user).post(f"{PAGE}{made['id']}/revoke", follow=True)

        assert "no token with this id" in answer.content.decode()
        assert call(made["value"]).status_code == 200

    def test_lists_applications_and_ends_them(self, user) -> None:
        app, browser = an_app(), signed_in(user)
        first, second = app.tokens(user), app.tokens(user)
        others = app.tokens(a_user("other@example.com"))
        assert browser.get(PAGE).content.decode().count("End the access of An app") == 1

        answer = browser.post(f"/account/applications/{app.row.pk}/end", follow=True)

        page = answer.content.decode()
        assert "can no longer act for you" in page
        assert "No application may act for you" in page
        assert call(first["access_token"]).status_code == 401
        assert app.refresh(second["refresh_token"]).status_code == 400
        assert call(others["access_token"]).status_code == 200

    def test_marks_expired_tokens(self, user) -> None:
        past = timezone.now() - dt.timedelta(days=40)
        personal.create_token(user_id=user.pk, name="Old", scopes=["tracker"], days=30, at=past)

        assert "Expired" in signed_in(user).get(PAGE).content.decode()

    def test_loads_nothing_from_elsewhere_and_nothing_inline(self, user) -> None:
        answer = signed_in(user).get(PAGE)

        assert "unsafe" not in answer["Content-Security-Policy"]
        assert "<script" not in answer.content.decode()
        assert "style=" not in answer.content.decode()
