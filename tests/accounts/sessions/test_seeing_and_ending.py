"""People see and end their own sessions, operators anybody's; nobody else does."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from accounts.models import Session, User
from outbox.models import OutboxEvent
from tests.people import a_superuser, a_user, an_operator, signed_in

pytestmark = pytest.mark.django_db(databases=["default"])
SESSIONS = "/api/auth/sessions"
PAGE = "/account/sessions/"
ADMIN = "/admin/accounts/session/"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"


@pytest.fixture
def ann(db) -> User:
    return a_user("ann@example.com")


@pytest.fixture
def here(ann) -> Client:
    return signed_in(ann)


@pytest.fixture
def there(ann) -> Client:
    return signed_in(ann)


def listed(client: Client, query: str = "") -> Any:
    answer = client.get(SESSIONS + query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def told() -> list[str]:
    """Return the reasons of the sessions' events."""
    rows = OutboxEvent.objects.filter(aggregate_type="session", type="session.ended")
    return [row.payload["reason"] for row in rows]


class TestOverTheApi:
    def test_everybody_sees_their_own_alone(self, ann, here, there) -> None:
        signed_in(a_user("ben@example.com"))

        items = listed(here)["items"]
        assert {item["id"] for item in items} == {str(row.pk) for row in ann.sessions.all()}
        assert [item["current"] for item in items] == [False, True]

    def test_a_sign_in_by_hand_notes_device_and_network(self, ann) -> None:
        ann.set_password("a-password-of-the-tests")
        ann.is_staff = True
        ann.save()
        client = Client(headers={"user-agent": FIREFOX}, REMOTE_ADDR="203.0.113.77")
        client.post("/admin/login/", {"username": ann.email, "password": "a-password-of-the-tests"})

        [item] = listed(client)["items"]
        assert (item["device"], item["network"]) == ("Firefox on Linux", "203.0.113.0/24")

    def test_pages_follow_each_other(self, ann, here, there) -> None:
        first = listed(here, "?limit=1")
        second = listed(here, f"?limit=1&cursor={first['next']}")

        assert second["next"] is None
        assert first["items"] != second["items"]

    def test_one_ends_and_the_others_stay(self, ann, here, there) -> None:
        newest = listed(here)["items"][0]["id"]

        assert here.delete(f"{SESSIONS}/{newest}").status_code == 204
        assert here.get(SESSIONS).status_code == 200
        assert there.get(SESSIONS).status_code == 401
        assert told() == ["own"]

    def test_all_others_end_at_once(self, ann, here, there) -> None:
        signed_in(ann)

        assert here.delete(SESSIONS).json() == {"ended": 2}
        assert there.get(SESSIONS).status_code == 401
        assert len(listed(here)["items"]) == 1

    def test_nobody_ends_somebody_elses(self, ann, here) -> None:
        ben = signed_in(a_user("ben@example.com"))
        theirs = ann.sessions.get()

        answer = ben.delete(f"{SESSIONS}/{theirs.pk}")
        assert answer.status_code == 404
        assert answer.json()["code"] == "accounts.session_not_found"
        assert ben.delete(f"{SESSIONS}/{uuid.uuid4()}").status_code == 404
        assert here.get(SESSIONS).status_code == 200

    def test_strangers_are_refused(self, client) -> None:
        assert client.get(SESSIONS).status_code == 401
        assert client.delete(SESSIONS).status_code == 401
        assert client.delete(f"{SESSIONS}/{uuid.uuid4()}").status_code == 401

    def test_another_site_ends_nothing(self, ann, here) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.cookies = here.cookies

        assert strict.delete(SESSIONS).status_code == 403


class TestOnThePage:
    def test_shows_devices_and_ends_one(self, ann, here, there) -> None:
        Session.objects.update(device="Firefox on Linux", network="203.0.113.0/24")
        text = here.get(PAGE).content.decode()
        assert text.count("Firefox on Linux") >= 2
        assert "203.0.113.0/24" in text
        assert "(this one)" in text

        newest = ann.sessions.order_by("-id").first()
        answer = here.post(f"{PAGE}{newest.pk}/end", follow=True)
        assert "That device is signed out." in answer.content.decode()
        assert there.get(PAGE).status_code == 302

    def test_says_so_where_it_had_ended(self, here) -> None:
        answer = here.post(f"{PAGE}{uuid.uuid4()}/end", follow=True)

        assert "had ended already" in answer.content.decode()

    def test_ends_all_others(self, ann, here, there) -> None:
        answer = here.post(f"{PAGE}end-others", follow=True)

        assert "Sessions on other devices ended: 1." in answer.content.decode()
        assert there.get(PAGE).status_code == 302
        assert here.get(PAGE).status_code == 200

    def test_strangers_are_sent_to_sign_in_and_links_end_nothing(self, client, here) -> None:
        assert client.get(PAGE).status_code == 302
        assert client.post(f"{PAGE}end-others").status_code == 302
        assert here.get(f"{PAGE}end-others").status_code == 405
        assert Session.objects.count() == 1


class TestInTheAdmin:
    def test_an_operator_who_may_ends_anybodys(self, ann, here) -> None:
        operator = signed_in(an_operator("accounts.view_session", "accounts.delete_session"))
        theirs = ann.sessions.get()
        assert ann.email in operator.get(ADMIN).content.decode()

        answer = operator.post(
            ADMIN, {"action": "end", "_selected_action": [str(theirs.pk)]}, follow=True
        )
        assert "1 sessions ended." in answer.content.decode()
        assert here.get(SESSIONS).status_code == 401
        assert told() == ["operator"]

    def test_one_who_may_only_look_does_only_that(self, ann, here) -> None:
        operator = signed_in(an_operator("accounts.view_session"))

        operator.post(ADMIN, {"action": "end", "_selected_action": [str(ann.sessions.get().pk)]})
        assert operator.get(ADMIN).status_code == 200
        assert here.get(SESSIONS).status_code == 200

    def test_one_who_may_not_sees_nothing(self) -> None:
        assert signed_in(an_operator()).get(ADMIN).status_code == 403

    def test_shows_neither_key_nor_data(self, ann, here) -> None:
        row = ann.sessions.get()
        text = signed_in(a_superuser()).get(f"{ADMIN}{row.pk}/change/").content.decode()

        assert row.key_hash not in text
        assert row.data not in text
