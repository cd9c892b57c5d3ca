"""Who has a second step signs in with password and code: on the page, in the API, in the admin."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY
from django.db import connection
from django.test import Client

from accounts import events
from accounts.models import Session, User
from accounts.second_step import checking
from accounts.second_step.checking import CodeRefused, check
from outbox.models import OutboxEvent
from tests.accounts.conftest import forget_tries
from tests.accounts.second_step.apps import AUTHENTICATE, App, of, with_app
from tests.people import PASSWORD, a_superuser, a_user

pytestmark = pytest.mark.django_db(transaction=True, databases=["default"])
ADDRESS = "ada@example.com"


@pytest.fixture
def user() -> User:
    return a_user(ADDRESS)


def log_in(client: Client, **more: str) -> Any:
    """Sign in over the API."""
    body = {"email": ADDRESS, "password": PASSWORD} | more
    return client.post("/api/auth/login", body, content_type="application/json")


def is_in(client: Client) -> bool:
    """Tell whether somebody is signed in."""
    return client.get("/api/users/me").status_code == 200


def page_in(client: Client, **more: str) -> Any:
    """Fill in the page's first form."""
    return client.post("/account/login/", {"login": ADDRESS, "password": PASSWORD} | more)


class TestTheApi:
    def test_asks_for_a_code_and_takes_it(self, user) -> None:
        app, _ = with_app(user)
        client = Client()

        asked = log_in(client)
        assert (asked.status_code, asked.json()["code"]) == (401, "accounts.code_needed")
        assert not is_in(client)
        assert log_in(client, code=app.code()).status_code == 200
        assert is_in(client)

    def test_asks_nobody_who_has_none(self, user) -> None:
        assert log_in(Client()).status_code == 200
        assert log_in(Client(), code="123456").status_code == 200

    def test_refuses_a_wrong_code_and_tells_nothing_without_the_password(self, user, heard) -> None:
        app, _ = with_app(user)
        client = Client()

        wrong = log_in(client, code=app.wrong())
        without = log_in(client, password="not-it", code=app.code())

        assert (wrong.status_code, wrong.json()["code"]) == (401, "accounts.code_refused")
        assert without.json()["code"] == "accounts.sign_in_refused"
        assert not is_in(client)
        (told,) = heard(events.CODE_REFUSED)
        assert (told.aggregate_id, told.payload["client"]) == (str(user.pk), "127.0.0.1")

    def test_takes_each_code_once(self, user) -> None:
        app, _ = with_app(user)
        code = app.code_at(0)

        assert log_in(Client(), code=code).status_code == 200
        assert log_in(Client(), code=code).status_code == 401
        # Nor one that was shown before it.
        assert log_in(Client(), code=app.code_at(-1)).status_code == 401
        later = app.code_at(1)
        assert log_in(Client(), code=f" {later[:3]} {later[3:]} ").status_code == 200

    def test_takes_each_recovery_code_once(self, user, heard) -> None:
        _, codes = with_app(user)

        assert len(set(codes)) == 10
        assert log_in(Client(), code=codes[3]).status_code == 200
        assert log_in(Client(), code=codes[3]).status_code == 401
        assert log_in(Client(), code=codes[4]).status_code == 200
        left = [told.payload["left"] for told in heard(events.RECOVERY_CODE_USED)]
        assert left == [9, 8]

    def test_takes_no_code_from_too_long_ago_or_ahead(self, user) -> None:
        app, _ = with_app(user)

        for offset in (-3, 4):  # more than the tolerance, also when the period changes meanwhile
            assert log_in(Client(), code=app.code_at(offset)).status_code == 401

    @pytest.mark.parametrize("code", ["", " ", "x", "१२३४५६", "1" * 21, "\0"])
    def test_takes_nothing_that_is_no_code(self, user, code) -> None:
        with_app(user)

        assert log_in(Client(), code=code).status_code in {400, 401, 422}

    def test_bounds_tries_of_one_account_from_anywhere(self, user) -> None:
        app, codes = with_app(user)

        statuses = [
            Client(REMOTE_ADDR=f"192.0.2.{number}")
            .post(
                "/api/auth/login",
                {"email": ADDRESS, "password": PASSWORD, "code": app.wrong()},
                content_type="application/json",
            )
            .status_code
            for number in range(6)
        ]

        assert statuses == [401] * 5 + [429]
        right = log_in(Client(), code=codes[0])
        assert right.status_code == 429
        assert 1 <= int(right["Retry-After"]) <= 300
        forget_tries()
        assert log_in(Client(), code=codes[0]).status_code == 200


def test_of_many_who_send_one_code_at_once_one_gets_in(user) -> None:
    app, codes = with_app(user)
    for code in (app.code_at(0), codes[0]):
        forget_tries()
        barrier, passed = threading.Barrier(5), []

        def attempt(code=code, barrier=barrier, passed=passed) -> None:
            barrier.wait()
            try:
                check(user=user, code=code, client="")
                passed.append(code)
            except CodeRefused:
                pass
            finally:
                connection.close()

        threads = [threading.Thread(target=attempt) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert passed == [code]


class TestThePage:
    def test_asks_for_the_code_after_the_password(self, user) -> None:
        app, _ = with_app(user)
        client = Client()

        first = page_in(client)
        assert (first.status_code, first["Location"]) == (302, AUTHENTICATE)
        assert not is_in(client)
        assert SESSION_KEY not in client.session
        assert ADDRESS not in str(dict(client.session))
        shown = client.get(AUTHENTICATE).content.decode()
        assert 'autocomplete="one-time-code"' in shown
        wrong = client.post(AUTHENTICATE, {"code": app.wrong()})
        assert "This code is not valid" in wrong.content.decode()
        assert not is_in(client)
        last = client.post(AUTHENTICATE, {"code": app.code()})
        assert (last.status_code, last["Location"]) == (302, "/account/")
        assert is_in(client)

    def test_takes_a_recovery_code(self, user) -> None:
        _, codes = with_app(user)
        client = Client()
        page_in(client)

        client.post(AUTHENTICATE, {"code": codes[0]})

        assert is_in(client)

    def test_leads_back_where_one_wanted_to_go(self, user) -> None:
        app, _ = with_app(user)
        client = Client()

        page_in(client, next="/tracker/")
        answer = client.post(AUTHENTICATE, {"code": app.code()})

        assert answer["Location"] == "/tracker/"

    def test_without_a_password_before_it_leads_to_sign_in(self) -> None:
        answer = Client().get(AUTHENTICATE)

        assert (answer.status_code, answer["Location"]) == (302, "/account/login/")

    def test_bounds_tries_and_says_how_long_to_wait(self, user) -> None:
        app, _ = with_app(user)
        client = Client()
        page_in(client)

        answers = [client.post(AUTHENTICATE, {"code": app.wrong()}) for _ in range(6)]

        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert int(answers[5]["Retry-After"]) >= 1

    def test_may_be_left(self, user) -> None:
        app, _ = with_app(user)
        client = Client()
        page_in(client)

        client.post("/account/logout/", {"next": "/account/login/"})

        assert client.post(AUTHENTICATE, {"code": app.code()})["Location"] == "/account/login/"
        assert not is_in(client)


class TestTheAdmin:
    def test_asks_for_the_code_before_a_session_begins(self) -> None:
        root = a_superuser()
        app, _ = with_app(root)
        client = Client()

        first = client.post(
            "/admin/login/?next=/admin/accounts/user/",
            {"username": root.email, "password": PASSWORD},
        )
        assert (first.status_code, first["Location"]) == (302, AUTHENTICATE)
        assert client.get("/admin/").status_code == 302
        assert not Session.objects.filter(user=root).exists()
        last = client.post(AUTHENTICATE, {"code": app.code()})
        assert last["Location"] == "/admin/accounts/user/"
        assert client.get("/admin/").status_code == 200

    def test_leads_to_itself_and_never_elsewhere(self) -> None:
        root = a_superuser()
        app, _ = with_app(root)
        client = Client()

        client.post(
            "/admin/login/?next=https://example.org/",
            {"username": root.email, "password": PASSWORD},
        )

        assert client.post(AUTHENTICATE, {"code": app.code()})["Location"] == "/admin/"

    def test_lets_in_whose_account_asks_for_none(self) -> None:
        root = a_superuser()
        client = Client()

        client.post("/admin/login/", {"username": root.email, "password": PASSWORD})

        assert client.get("/admin/").status_code == 200

    def test_still_turns_away_who_is_no_staff(self, user) -> None:
        with_app(user)

        answer = Client().post("/admin/login/", {"username": ADDRESS, "password": PASSWORD})

        assert answer.status_code == 200
        assert "staff account" in answer.content.decode()


def test_a_session_remembers_that_it_passed_and_no_address(user) -> None:
    app, _ = with_app(user)
    client = Client()
    log_in(client, code=app.code())

    proofs = client.session["account_authentication_methods"]

    assert [proof["method"] for proof in proofs] == ["mfa"]
    assert ADDRESS not in str(proofs)


def test_events_hold_no_code_and_no_secret(user) -> None:
    app, codes = with_app(user)
    code = app.code_at(0)
    log_in(Client(), code=code)
    log_in(Client(), code=codes[0])
    log_in(Client(), code=app.wrong())

    told = str(list(OutboxEvent.objects.values_list("payload", flat=True)))

    assert not any(word in told for word in (app.secret, code, app.wrong(), *codes))
    assert of(user).last_used_at is not None
    assert checking.is_on(user.pk)


def test_an_app_of_nobody_else_counts(user) -> None:
    with_app(user)
    other, _ = with_app(a_user("grace@example.com"))

    assert log_in(Client(), code=App(other.secret).code()).status_code == 401
