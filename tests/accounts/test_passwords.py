"""Passwords: changed by whoever knows them, set anew by a letter, once."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import make_password
from django.contrib.auth.tokens import default_token_generator
from django.db import connection, connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import events
from accounts.models import User
from accounts.passwords.resetting import reset_password
from accounts.registration.confirming import TokenInvalid
from accounts.services import deactivate_users
from tests.accounts.conftest import link_in
from tests.people import PASSWORD, a_user, signed_in
from tests.waiting import eventually, somebody_waits_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True, databases=["default"])
ADDRESS = "ada@example.com"
NEW = "quite-another-passphrase"


def post(client: Client, path: str, body: object):
    """Send JSON."""
    return client.post(f"/api/auth/{path}", body, content_type="application/json")


def token_of(letter) -> str:
    """Return what the API takes."""
    return link_in(letter).strip("/").rpartition("/")[2]


class TestAReset:
    def test_sets_a_password_once_and_ends_every_session(self, client, letters, heard) -> None:
        user = a_user(ADDRESS)
        elsewhere = signed_in(user)

        asked = post(client, "password/reset", {"email": "ADA@example.com"})
        (letter,) = letters()
        body = {"token": token_of(letter), "newPassword": NEW}
        first = post(client, "password/reset/confirm", body)
        second = post(client, "password/reset/confirm", body)

        assert asked.status_code == 202
        assert (first.status_code, second.status_code) == (204, 400)
        assert second.json()["code"] == "accounts.token_invalid"
        assert authenticate(username=ADDRESS, password=NEW) == user
        assert elsewhere.get("/api/users/me").status_code == 401
        assert "was changed" in letters()[0].subject
        assert [event.aggregate_id for event in heard(events.PASSWORD_RESET)] == [str(user.pk)]

    def test_answers_the_same_for_unknown_addresses_and_sends_them_nothing(
        self, client, letters
    ) -> None:
        a_user(ADDRESS)
        closed = a_user("closed@example.com")
        deactivate_users(users=User.objects.filter(pk=closed.pk), at=timezone.now())

        answers = [
            post(client, "password/reset", {"email": address})
            for address in (ADDRESS, "nobody@example.com", "closed@example.com")
        ]

        assert len({(answer.status_code, answer.content) for answer in answers}) == 1
        assert [letter.to for letter in letters()] == [[ADDRESS]]

    def test_does_the_same_work_for_every_address(self, client, django_assert_num_queries) -> None:
        a_user(ADDRESS)
        statements = []
        for address in (ADDRESS, "nobody@example.com"):
            with CaptureQueriesContext(connection) as captured:
                post(client, "password/reset", {"email": address})
            statements.append([query["sql"].split("VALUES")[0] for query in captured])

        assert statements[0] == statements[1]
        assert not any("accounts_user" in sql for sql in statements[0])

    @pytest.mark.parametrize(("age", "status"), [(3_500, 204), (3_700, 400)])
    def test_works_for_an_hour(self, client, age, status) -> None:
        user = a_user(ADDRESS)
        made = default_token_generator._num_seconds(default_token_generator._now()) - age
        key = default_token_generator._make_token_with_timestamp(
            user, made, default_token_generator.secret
        )

        body = {"token": f"{user.pk.hex}-{key}", "newPassword": NEW}
        assert post(client, "password/reset/confirm", body).status_code == status

    def test_that_is_used_twice_at_the_same_time_works_once(self, client, letters) -> None:
        a_user(ADDRESS)
        post(client, "password/reset", {"email": ADDRESS})
        token = token_of(letters()[0])
        barrier, results = threading.Barrier(4), []

        def use(number: int) -> None:
            try:
                barrier.wait()
                reset_password(token=token, new_password=f"{NEW}-{number}", origin="http://x")
                results.append(number)
            except TokenInvalid:
                pass
            finally:
                connections.close_all()

        threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(results) == 1
        assert authenticate(username=ADDRESS, password=f"{NEW}-{results[0]}") is not None

    def test_forgets_another_address_that_waits_for_its_confirmation(self, client, letters) -> None:
        """Somebody who knew the old password may have asked for it, and waits with the link."""
        user = a_user(ADDRESS)
        thief = signed_in(user)
        post(thief, "email/change", {"email": "thief@example.com", "password": PASSWORD})
        stolen = link_in(letters()[0]).split("/")[-2]

        post(client, "password/reset", {"email": ADDRESS})
        body = {"token": token_of(letters()[0]), "newPassword": NEW}
        reset = post(client, "password/reset/confirm", body)
        late = post(client, "verify-email", {"token": stolen})

        assert (reset.status_code, late.status_code) == (204, 400)
        assert User.objects.get().email == ADDRESS

    def test_refuses_a_weak_password_and_the_link_still_works(self, client, letters) -> None:
        a_user(ADDRESS)
        post(client, "password/reset", {"email": ADDRESS})
        token = token_of(letters()[0])

        weak = post(client, "password/reset/confirm", {"token": token, "newPassword": "1234"})
        strong = post(client, "password/reset/confirm", {"token": token, "newPassword": NEW})

        assert (weak.status_code, weak.json()["code"]) == (422, "accounts.password_weak")
        assert weak.json()["errors"][0]["location"] == ["body", "newPassword"]
        assert strong.status_code == 204

    @pytest.mark.parametrize("token", ["x", "-", "0" * 32 + "-a-b", "0199" * 8 + "-abc-def"])
    def test_refuses_what_is_no_token(self, client, token) -> None:
        body = {"token": token, "newPassword": NEW}
        assert post(client, "password/reset/confirm", body).status_code == 400

    def test_goes_through_the_pages(self, client, letters) -> None:
        user = a_user(ADDRESS)
        sent = client.post("/account/password/reset/", {"email": ADDRESS}, follow=True)
        link = link_in(letters()[0])
        form = client.get(link, follow=True)
        where = form.redirect_chain[-1][0]
        done = client.post(where, {"password1": NEW, "password2": NEW}, follow=True)
        again = client.get(link, follow=True)

        assert "a letter is on its way" in sent.content.decode()
        assert "Set a new password" in form.content.decode()
        assert link.rpartition("-")[2].strip("/") not in where
        assert "Your new password is set" in done.content.decode()
        assert "no longer works" in again.content.decode()
        assert authenticate(username=ADDRESS, password=NEW) == user

    def test_is_limited_per_address_that_is_asked_for(self, client) -> None:
        statuses = [
            post(client, "password/reset", {"email": "nobody@example.com"}).status_code
            for _ in range(6)
        ]

        assert statuses == [202] * 5 + [429]


class TestAChange:
    def test_keeps_this_session_and_ends_the_others(self, letters) -> None:
        user = a_user(ADDRESS)
        here, there = signed_in(user), signed_in(user)

        answer = post(here, "password/change", {"currentPassword": PASSWORD, "newPassword": NEW})

        assert answer.status_code == 204
        assert here.get("/api/users/me").status_code == 200
        assert there.get("/api/users/me").status_code == 401
        assert "was changed" in letters()[0].subject

    def test_needs_the_present_password_which_is_not_tried_at_will(self) -> None:
        client = signed_in(a_user(ADDRESS))
        body = {"currentPassword": "wrong", "newPassword": NEW}

        statuses = [post(client, "password/change", body).status_code for _ in range(11)]

        assert statuses == [403] * 10 + [429]

    def test_comes_to_nothing_where_another_one_is_made_at_the_same_time(self) -> None:
        """Whoever knows the old password alone must not have the last word."""
        user = a_user(ADDRESS)
        thief, answers = signed_in(user), []
        body = {"currentPassword": PASSWORD, "newPassword": "a-passphrase-of-the-thief"}

        def change() -> None:
            try:
                answers.append(post(thief, "password/change", body))
            finally:
                connections.close_all()

        thread = threading.Thread(target=change)
        with transaction.atomic():
            User.objects.filter(pk=user.pk).update(password=make_password(NEW))
            thread.start()
            eventually(somebody_waits_for_a_lock)
        thread.join()

        assert [answer.status_code for answer in answers] == [403]
        assert authenticate(username=ADDRESS, password=NEW) == user

    def test_is_for_whoever_is_signed_in(self, client, db) -> None:
        body = {"currentPassword": PASSWORD, "newPassword": NEW}
        assert post(client, "password/change", body).status_code == 401

    def test_on_the_page_says_what_happened(self) -> None:
        user = a_user(ADDRESS)
        client, there = signed_in(user), signed_in(user)
        form = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}

        wrong = client.post("/account/password/change/", {**form, "oldpassword": "wrong"})
        done = client.post("/account/password/change/", form, follow=True)

        assert "not your present password" in wrong.content.decode()
        assert "Your password is changed" in done.content.decode()
        assert there.get("/account/").status_code == 302
        assert authenticate(username=ADDRESS, password=NEW) == user


class TestAnotherAddress:
    def test_holds_when_its_letter_is_answered(self, letters, heard) -> None:
        user = a_user(ADDRESS)
        client = signed_in(user)

        asked = post(
            client, "email/change", {"email": "countess@example.com", "password": PASSWORD}
        )
        (letter,) = letters()
        before = User.objects.get().email
        post(client, "verify-email", {"token": link_in(letter).split("/")[-2]})

        assert asked.status_code == 202
        assert letter.to == ["countess@example.com"]
        assert (before, User.objects.get().email) == (ADDRESS, "countess@example.com")
        assert letters()[0].to == [ADDRESS]
        assert len(heard(events.EMAIL_CHANGED)) == 1

    def test_of_somebody_else_is_never_taken_and_nobody_is_told(self, letters) -> None:
        a_user("grace@example.com")
        client = signed_in(a_user(ADDRESS))

        taken = post(client, "email/change", {"email": "grace@example.com", "password": PASSWORD})
        free = post(client, "email/change", {"email": "free@example.com", "password": PASSWORD})

        assert (taken.status_code, taken.content) == (free.status_code, free.content)
        assert [letter.to for letter in letters()] == [["free@example.com"]]

    def test_on_the_page_waits_for_its_confirmation(self, letters) -> None:
        client = signed_in(a_user(ADDRESS))

        done = client.post(
            "/account/email/", {"address": "new@example.com", "password": PASSWORD}, follow=True
        )

        assert "on its way to new@example.com" in done.content.decode()
        assert "new@example.com waits for its confirmation" in done.content.decode()
        assert letters()[0].to == ["new@example.com"]
