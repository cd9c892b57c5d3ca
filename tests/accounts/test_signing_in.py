"""Signing in and out, on pages, in the API and in the admin; and what is counted."""

from __future__ import annotations

import pytest
from django.contrib.auth import SESSION_KEY
from django.test import Client
from django.utils import timezone

from accounts import events
from accounts.models import User
from accounts.services import deactivate_users
from tests.people import PASSWORD, a_superuser, a_user, signed_in

pytestmark = pytest.mark.django_db(databases=["default"])
ADDRESS = "ada@example.com"
RIGHT = {"email": ADDRESS, "password": PASSWORD}
WRONG = {"email": ADDRESS, "password": "wrong-password"}


def post(client: Client, path: str, body: object = None, **headers: str):
    """Send JSON."""
    return client.post(
        f"/api/auth/{path}", body or {}, content_type="application/json", headers=headers
    )


class TestSigningInThroughTheApi:
    def test_begins_a_session_that_the_api_and_the_pages_know(self, client) -> None:
        a_user(ADDRESS)

        answer = post(client, "login", RIGHT)

        assert answer.status_code == 200
        assert answer.json()["email"] == ADDRESS
        assert client.get("/api/users/me").status_code == 200
        assert client.get("/account/").status_code == 200

    def test_is_refused_in_the_same_words_whatever_is_wrong(self, client) -> None:
        a_user(ADDRESS)
        closed = a_user("closed@example.com")
        deactivate_users(users=User.objects.filter(pk=closed.pk), at=timezone.now())

        answers = [
            post(client, "login", WRONG),
            post(client, "login", {**RIGHT, "email": "nobody@example.com"}),
            post(client, "login", {**RIGHT, "email": "closed@example.com"}),
            post(client, "login", {**RIGHT, "email": "no address"}),
        ]

        told = {
            tuple(value for key, value in sorted(answer.json().items()) if key != "requestId")
            for answer in answers
        }
        assert [answer.status_code for answer in answers] == [401] * 4
        assert len(told) == 1
        assert SESSION_KEY not in client.session

    def test_needs_the_token_of_our_pages_so_that_no_other_site_signs_anybody_in(self) -> None:
        a_user(ADDRESS)
        client = Client(enforce_csrf_checks=True)

        refused = post(client, "login", RIGHT)
        token = client.get("/api/auth/csrf").json()["csrfToken"]
        taken = post(client, "login", RIGHT, x_csrftoken=token)

        assert (refused.status_code, refused.json()["code"]) == (403, "access.csrf")
        assert taken.status_code == 200

    def test_gives_the_session_another_key(self, client) -> None:
        a_user(ADDRESS)
        client.get("/account/login/")
        session = client.session
        session["before"] = True
        session.save()
        key = session.session_key
        client.cookies["sessionid"] = key

        post(client, "login", RIGHT)

        assert client.session.session_key != key

    def test_ends_with_signing_out_which_may_be_done_twice(self, client) -> None:
        a_user(ADDRESS)
        post(client, "login", RIGHT)

        assert post(client, "logout").status_code == 204
        assert client.get("/api/users/me").status_code == 401
        assert post(client, "logout").status_code == 204


class TestSigningInOnThePage:
    def test_leads_to_where_one_wanted_to_go_on_this_site_only(self, client) -> None:
        a_user(ADDRESS)
        form = {"login": ADDRESS, "password": PASSWORD}

        asked = client.get("/tracker/friends")
        ours = client.post("/account/login/", {**form, "next": "/tracker/friends"})
        client.logout()
        foreign = client.post("/account/login/", {**form, "next": "https://evil.example/"})

        assert asked["Location"] == "/account/login/?next=/tracker/friends"
        assert ours["Location"] == "/tracker/friends"
        assert foreign["Location"] == "/account/"

    def test_says_the_same_for_a_wrong_password_and_an_unknown_address(self, client) -> None:
        a_user(ADDRESS)

        pages = [
            client.post("/account/login/", {"login": address, "password": "wrong-password"})
            for address in (ADDRESS, "nobody@example.com")
        ]

        said = "There is no account with this address and password."
        assert all(said in page.content.decode() for page in pages)
        assert {page.status_code for page in pages} == {200}

    def test_asks_before_signing_out(self) -> None:
        client = signed_in(a_user(ADDRESS))

        assert "Sign out?" in client.get("/account/logout/").content.decode()
        assert client.get("/account/").status_code == 200
        client.post("/account/logout/")
        assert client.get("/account/").status_code == 302

    def test_leaves_no_address_in_the_session(self, client) -> None:
        a_user(ADDRESS)
        client.post("/account/login/", {"login": ADDRESS, "password": PASSWORD})

        assert SESSION_KEY in client.session
        assert ADDRESS not in str(dict(client.session.items()))


@pytest.mark.django_db(transaction=True)
class TestOthers:
    def test_are_told_of_sign_ins_and_failures_wherever_they_happen(self, client, heard) -> None:
        user, root = a_user(ADDRESS), a_superuser()

        post(client, "login", RIGHT)
        post(client, "logout")
        post(client, "login", WRONG)
        post(client, "login", {**RIGHT, "email": "nobody@example.com"})
        client.post("/admin/login/", {"username": root.email, "password": PASSWORD})

        ins = heard(events.SIGNED_IN)
        failures = heard(events.SIGN_IN_FAILED)
        assert [event.aggregate_id for event in ins] == [str(user.pk), str(root.pk)]
        assert [event.payload["page"] for event in ins] == ["api", "admin"]
        assert ins[0].payload["client"] == "127.0.0.1"
        assert {event.aggregate_id for event in failures} == {str(user.pk), "unknown"}
        assert len(heard(events.SIGNED_OUT)) == 1
        text = str([event.payload for event in (*ins, *failures)])
        assert not any(word in text for word in ("example.com", PASSWORD, "wrong-password"))


class TestTries:
    def test_at_one_account_are_limited_whether_it_exists_or_not(self, client) -> None:
        a_user(ADDRESS)
        for address in (ADDRESS, "nobody@example.com"):
            body = {"email": address, "password": "wrong-password"}
            answers = [post(client, "login", body) for _ in range(11)]

            assert [answer.status_code for answer in answers] == [401] * 10 + [429]
            assert answers[-1].json()["code"] == "accounts.too_many_attempts"
            assert 1 <= int(answers[-1]["Retry-After"]) <= 300

    def test_are_refused_with_the_right_password_too_while_the_limit_holds(self, client) -> None:
        a_user(ADDRESS)
        for _ in range(10):
            post(client, "login", WRONG)

        assert post(client, "login", RIGHT).status_code == 429

    def test_from_one_device_are_limited_over_all_accounts(self, client) -> None:
        statuses = [
            post(client, "login", {"email": f"{n}@example.com", "password": "x"}).status_code
            for n in range(31)
        ]

        assert statuses == [401] * 30 + [429]

    def test_that_succeed_do_not_count(self, client) -> None:
        a_user(ADDRESS)

        assert {post(client, "login", RIGHT).status_code for _ in range(12)} == {200}

    def test_on_the_page_and_in_the_api_count_together_and_the_page_says_so(self, client) -> None:
        a_user(ADDRESS)
        for _ in range(10):
            post(client, "login", WRONG)

        page = client.post("/account/login/", {"login": ADDRESS.upper(), "password": PASSWORD})

        assert page.status_code == 429
        assert int(page["Retry-After"]) >= 1
        assert "Too many attempts" in page.content.decode()

    def test_of_the_admin_count_for_themselves(self, client) -> None:
        root = a_superuser()
        form = {"username": root.email, "password": "wrong-password"}

        statuses = [client.post("/admin/login/", form).status_code for _ in range(6)]
        elsewhere = post(client, "login", {"email": root.email, "password": PASSWORD})

        assert statuses == [200] * 5 + [429]
        assert elsewhere.status_code == 200
