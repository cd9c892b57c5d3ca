"""Sign-up by e-mail: the letter, its link, and nothing told about who has an account."""

from __future__ import annotations

import datetime as dt

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import authenticate
from django.test import Client
from django.utils import timezone

from accounts import events
from accounts.models import PendingMail, User
from accounts.registration.registering import remove_unconfirmed
from outbox.models import OutboxEvent
from tests.accounts.conftest import link_in
from tests.people import PASSWORD, a_user

pytestmark = pytest.mark.django_db(transaction=True, databases=["default"])
NEW = {"email": "Ada@Example.com", "password": PASSWORD, "firstName": "Ada"}


def post(client: Client, path: str, body: object):
    """Send JSON."""
    return client.post(f"/api/auth/{path}", body, content_type="application/json")


class TestSigningUpThroughTheApi:
    def test_makes_an_account_that_signs_in_once_its_address_is_confirmed(
        self, client, letters
    ) -> None:
        answer = post(client, "register", NEW)
        early = post(client, "login", {"email": "ada@example.com", "password": PASSWORD})
        (letter, *_) = letters()
        token = link_in(letter).split("/")[-2]
        confirmed = post(client, "verify-email", {"token": token})
        late = post(client, "login", {"email": "ADA@example.com", "password": PASSWORD})

        assert (answer.status_code, early.status_code) == (202, 403)
        assert early.json()["code"] == "accounts.address_unconfirmed"
        assert letter.to == ["ada@example.com"]
        assert (confirmed.status_code, late.status_code) == (204, 200)
        assert client.get("/api/users/me").json()["firstName"] == "Ada"

    def test_confirms_once(self, client, letters) -> None:
        post(client, "register", NEW)
        token = link_in(letters()[0]).split("/")[-2]

        post(client, "verify-email", {"token": token})
        again = post(client, "verify-email", {"token": token})

        assert again.status_code == 400
        assert again.json()["code"] == "accounts.token_invalid"

    def test_answers_the_same_for_an_address_that_is_taken_and_tells_its_owner(
        self, client, letters
    ) -> None:
        a_user("ada@example.com")

        taken = post(client, "register", NEW)
        free = post(client, "register", {**NEW, "email": "grace@example.com"})
        to_the_owner, to_the_new = letters()

        assert (taken.status_code, taken.json()) == (free.status_code, free.json())
        assert "account already" in to_the_owner.subject
        assert "Confirm" in to_the_new.subject
        assert authenticate(username="ada@example.com", password=PASSWORD) is not None
        assert not EmailAddress.objects.filter(email="ada@example.com").exists()

    def test_twice_has_whoever_reads_the_letters_choose_the_password(self, client, letters) -> None:
        """One of the two may be somebody else, who waits for the other to open the link."""
        post(client, "register", {**NEW, "password": "a-passphrase-of-the-thief"})
        (early,) = letters()
        post(client, "register", NEW)
        (late,) = letters()

        post(client, "verify-email", {"token": link_in(early).split("/")[-2]})
        for password in ("a-passphrase-of-the-thief", PASSWORD):
            assert authenticate(username="ada@example.com", password=password) is None
        token = link_in(late).strip("/").rpartition("/")[2]
        post(client, "password/reset/confirm", {"token": token, "newPassword": PASSWORD})

        assert "new password" in late.subject
        signed_in = post(client, "login", {"email": "ada@example.com", "password": PASSWORD})
        assert signed_in.status_code == 200

    def test_twice_with_the_same_password_sends_the_confirmation_again(
        self, client, letters
    ) -> None:
        post(client, "register", NEW)
        letters()
        post(client, "register", NEW)

        (letter,) = letters()
        assert "Confirm" in letter.subject
        assert authenticate(username="ada@example.com", password=PASSWORD) is not None

    @pytest.mark.parametrize(
        ("change", "place"),
        [
            ({"password": "12345678"}, "password"),
            ({"password": "ada@example.com"}, "password"),
            ({"email": "no address"}, "email"),
        ],
    )
    def test_names_what_is_wrong(self, client, change, place) -> None:
        answer = post(client, "register", {**NEW, **change})

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["location"] == ["body", place]
        assert change.get("password", "???") not in answer.content.decode()
        assert not User.objects.exists()

    def test_tells_others_of_it_without_the_address(self, client, heard) -> None:
        post(client, "register", NEW)

        (told,) = heard(events.SIGNED_UP)
        assert told.aggregate_id == str(User.objects.get().pk)
        assert "example.com" not in str(told.payload)

    def test_keeps_no_address_in_the_outbox_and_none_after_the_letter(
        self, client, letters
    ) -> None:
        post(client, "register", NEW)
        waiting = list(OutboxEvent.objects.values())
        letters()

        assert "example.com" not in str(waiting)
        assert not PendingMail.objects.exists()


class TestSigningUpOnThePage:
    def test_leads_from_the_form_through_the_letter_to_the_account(self, client, letters) -> None:
        fields = {"email": "ada@example.com", "password1": PASSWORD, "first_name": "Ada"}
        answer = client.post("/account/signup/", fields, follow=True)
        page = client.get(link_in(letters()[0]))
        confirmed = client.post(link_in_page(page), follow=True)
        signed_in = client.post(
            "/account/login/", {"login": "ada@example.com", "password": PASSWORD}, follow=True
        )

        assert "Look into your mail" in answer.content.decode()
        assert "ada@example.com" in page.content.decode()
        assert "is confirmed" in confirmed.content.decode()
        assert signed_in.redirect_chain[-1][0] == "/account/"
        assert "Your account" in signed_in.content.decode()

    def test_shows_the_same_page_for_an_address_that_is_taken(self, client, letters) -> None:
        a_user("ada@example.com")
        fields = {"email": "ada@example.com", "password1": PASSWORD}

        answer = client.post("/account/signup/", fields, follow=True)

        assert answer.redirect_chain[-1] == ("/account/confirm-email/", 302)
        assert "account already" in letters()[0].subject
        assert User.objects.count() == 1

    def test_says_beside_the_field_why_a_password_will_not_do(self, client) -> None:
        answer = client.post("/account/signup/", {"email": "a@example.com", "password1": "12345"})

        assert "too short" in answer.content.decode()
        assert not User.objects.exists()

    def test_a_link_that_was_used_says_what_to_do(self, client, letters) -> None:
        client.post("/account/signup/", {"email": "a@example.com", "password1": PASSWORD})
        link = link_in(letters()[0])
        client.post(link)

        answer = client.get(link)

        assert "no longer works" in answer.content.decode()


class TestAnAddressThatNobodyConfirms:
    def test_is_free_again_after_a_week(self, client) -> None:
        post(client, "register", NEW)
        week = dt.timedelta(days=7)

        assert remove_unconfirmed(older_than=week, at=timezone.now()) == 0
        assert remove_unconfirmed(older_than=week, at=timezone.now() + week) == 1
        assert not User.objects.exists()

    def test_is_not_taken_from_those_whom_operators_made_or_who_changed_it(self, client) -> None:
        made = a_user("made@example.com")
        changing = a_user("old@example.com")
        EmailAddress.objects.create(user=changing, email="old@example.com", verified=True)
        EmailAddress.objects.create(user=changing, email="new@example.com", verified=False)
        week = dt.timedelta(days=7)

        assert remove_unconfirmed(older_than=week, at=timezone.now() + week) == 0
        assert set(User.objects.all()) == {made, changing}


def link_in_page(page) -> str:
    """Return where the page's form leads."""
    return str(page.request["PATH_INFO"])
