"""/api/users: oneself, others, and what operators may do."""

from __future__ import annotations

import json

import pytest
from allauth.account.models import EmailAddress
from django.test import Client

from accounts import events
from accounts.models import User
from common.ids import uuid7
from tests.accounts.conftest import link_in
from tests.homes import databases_of
from tests.people import PASSWORD, a_superuser, a_user, an_operator, signed_in

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("tracker"))
MAY = ("accounts.view_user", "accounts.add_user", "accounts.change_user")


def call(client: Client, method: str, path: str, body: object = None):
    """Send JSON."""
    return client.generic(
        method,
        f"/api/users{path}",
        data=b"" if body is None else json.dumps(body).encode(),
        content_type="application/json",
    )


class TestOneself:
    def test_is_shown_and_changes_only_what_is_sent(self) -> None:
        user = a_user("ada@example.com", first_name="Ada", last_name="Byron")
        client = signed_in(user)

        changed = call(client, "PATCH", "/me", {"lastName": "Lovelace"})

        assert changed.json()["name"] == "Ada Lovelace"
        assert call(client, "GET", "/me").json() == changed.json()
        assert set(changed.json()) == {
            "id", "email", "firstName", "lastName", "name", "isStaff", "dateJoined",
        }  # fmt: skip

    def test_gives_itself_no_rights_and_no_other_address(self) -> None:
        client = signed_in(a_user("ada@example.com"))

        call(client, "PATCH", "/me", {"isStaff": True, "isSuperuser": True, "email": "x@y.example"})

        user = User.objects.get()
        assert (user.email, user.is_staff, user.is_superuser) == ("ada@example.com", False, False)

    def test_is_asked_to_sign_in(self, client) -> None:
        assert call(client, "GET", "/me").status_code == 401
        assert call(client, "PATCH", "/me", {}).status_code == 401


class TestSomebodyElse:
    def test_is_shown_by_name_and_never_by_address(self) -> None:
        other = a_user("grace@example.com", first_name="Grace")
        nameless = a_user("hidden@example.com")
        client = signed_in(a_user("ada@example.com"))

        named = call(client, "GET", f"/{other.pk}").json()
        assert named == {"id": str(other.pk), "name": "Grace", "isActive": True}
        assert "hidden" not in call(client, "GET", f"/{nameless.pk}").content.decode()

    def test_that_is_unknown_is_not_found(self) -> None:
        answer = call(signed_in(a_user()), "GET", f"/{uuid7()}")

        assert (answer.status_code, answer.json()["code"]) == (404, "accounts.user_not_found")

    def test_does_not_hide_the_leaderboard_and_the_search(self) -> None:
        client = signed_in(a_user())

        assert call(client, "GET", "/leaderboard").status_code == 200
        assert call(client, "GET", "/search?q=an").status_code == 200


class TestAnOperator:
    @pytest.fixture
    def operator(self) -> Client:
        return signed_in(an_operator(*MAY))

    def test_lists_users_by_page_and_finds_them(self, operator) -> None:
        for number in range(3):
            a_user(f"u{number}@example.com", first_name="Ada")

        first = call(operator, "GET", "?limit=2&q=ada").json()
        second = call(operator, "GET", f"?limit=2&q=ada&cursor={first['next']}").json()

        assert len(first["items"]) == 2
        assert len(second["items"]) == 1
        assert {"email", "isActive", "lastLogin"} <= set(first["items"][0])

    def test_makes_a_user_who_gets_a_letter_to_set_a_password(self, operator, letters) -> None:
        made = call(operator, "POST", "", {"email": "new@example.com", "firstName": "New"})
        (letter,) = letters()
        client = Client()
        token = link_in(letter).strip("/").rpartition("/")[2]
        client.post(
            "/api/auth/password/reset/confirm",
            {"token": token, "newPassword": PASSWORD},
            content_type="application/json",
        )
        answer = client.post(
            "/api/auth/login",
            {"email": "new@example.com", "password": PASSWORD},
            content_type="application/json",
        )

        assert made.status_code == 201
        assert not made.json()["isStaff"]
        assert answer.status_code == 200

    def test_is_told_that_an_address_is_taken(self, operator) -> None:
        a_user("ada@example.com")

        made = call(operator, "POST", "", {"email": "ADA@example.com"})

        assert (made.status_code, made.json()["code"]) == (409, "accounts.address_taken")

    def test_changes_an_address_and_vouches_for_it(self, operator, heard) -> None:
        user = a_user("ada@example.com")
        EmailAddress.objects.create(user=user, email="ada@example.com", verified=True)

        changed = call(operator, "PATCH", f"/{user.pk}", {"email": "countess@example.com"})
        old = Client().post(
            "/api/auth/login",
            {"email": "ada@example.com", "password": PASSWORD},
            content_type="application/json",
        )
        new = Client().post(
            "/api/auth/login",
            {"email": "countess@example.com", "password": PASSWORD},
            content_type="application/json",
        )

        assert changed.json()["email"] == "countess@example.com"
        assert (old.status_code, new.status_code) == (401, 200)
        (told,) = heard(events.EMAIL_CHANGED)
        assert told.payload["actor_id"] != told.aggregate_id == str(user.pk)

    def test_bars_and_lets_in_again(self, operator) -> None:
        user = a_user("ada@example.com")
        client = signed_in(user)

        barred = call(operator, "POST", f"/{user.pk}/deactivate")
        while_barred = call(client, "GET", "/me").status_code
        again = call(operator, "POST", f"/{user.pk}/reactivate")

        assert (barred.json()["isActive"], while_barred) == (False, 401)
        assert again.json()["isActive"] is True

    def test_touches_no_superuser(self, operator) -> None:
        root = a_superuser()

        for method, path, body in (
            ("PATCH", f"/{root.pk}", {"email": "mine@example.com"}),
            ("POST", f"/{root.pk}/deactivate", None),
        ):
            answer = call(operator, method, path, body)
            assert (answer.status_code, answer.json()["code"]) == (403, "accounts.not_permitted")
        root.refresh_from_db()
        assert (root.email, root.is_active) == ("root@example.com", True)

    @pytest.mark.parametrize("who", ["nobody", "member", "staff without permission"])
    def test_alone_may_do_these(self, who, client) -> None:
        target = a_user("target@example.com")
        if who == "member":
            client = signed_in(a_user("ada@example.com"))
        elif who == "staff without permission":
            client = signed_in(an_operator())
        expected = 401 if who == "nobody" else 403

        for method, path, body in (
            ("GET", "", None),
            ("POST", "", {"email": "new@example.com"}),
            ("GET", f"/{target.pk}/details", None),
            ("PATCH", f"/{target.pk}", {"firstName": "X"}),
            ("POST", f"/{target.pk}/deactivate", None),
            ("POST", f"/{target.pk}/reactivate", None),
        ):
            assert call(client, method, path, body).status_code == expected, (method, path)
        assert User.objects.active().filter(pk=target.pk, first_name="").exists()
