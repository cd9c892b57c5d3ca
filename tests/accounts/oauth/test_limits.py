"""Clients that are refused too often wait, whoever they say they are; those that succeed do not."""

from __future__ import annotations

import pytest
from django.test import Client as Browser
from django.urls import reverse

from accounts import events
from accounts.models import AccessToken, PersonalToken
from tests.accounts.conftest import forget_tries
from tests.accounts.oauth.flows import a_machine, an_app, basic, form_post
from tests.people import a_user, signed_in

pytestmark = pytest.mark.django_db(transaction=True, databases=["default"])
ENDPOINTS = ["/o/token", "/o/revoke", "/o/introspect"]
GRANT = {"grant_type": "client_credentials", "token": "psa_unknown"}


def ask(path: str, *, address: str = "192.0.2.1", client: str = "nobody", form: bool = False):
    """Ask as a client that is not recognised."""
    named = {"client_id": client, "client_secret": "x"} if form else {}
    headers = {} if form else {"authorization": basic(client, "x")}
    return Browser(enforce_csrf_checks=True).post(
        path, GRANT | named, headers=headers, REMOTE_ADDR=address
    )


def is_a_wait(answer) -> bool:
    """Tell whether the caller is told to wait."""
    if answer.status_code != 429:
        return False
    assert answer.json()["code"] == "accounts.too_many_attempts"
    assert 1 <= int(answer["Retry-After"]) <= 300
    return True


@pytest.fixture
def narrow(settings):
    """Set limits that a test reaches soon."""
    settings.ACCOUNT_THROTTLES = settings.ACCOUNT_THROTTLES | {
        "client": ((3, 300), (5, 300)),
        "issue": ((8, 300), (6, 300)),
        "new_token": ((9, 300), (2, 300)),
    }


@pytest.mark.usefixtures("narrow")
class TestRefusals:
    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_of_one_address_are_bounded_whoever_it_says_it_is(self, path) -> None:
        answers = [ask(path, client=f"client{number}") for number in range(5)]

        assert [answer.status_code for answer in answers[:3]] == [401] * 3
        assert all(map(is_a_wait, answers[3:]))
        assert not is_a_wait(ask(path, address="192.0.2.2"))

    @pytest.mark.parametrize("path", ENDPOINTS)
    @pytest.mark.parametrize("form", [False, True])
    def test_of_one_client_are_bounded_wherever_they_come_from(self, path, form) -> None:
        answers = [ask(path, address=f"192.0.2.{number}", form=form) for number in range(7)]

        assert [answer.status_code for answer in answers[:5]] == [401] * 5
        assert all(map(is_a_wait, answers[5:]))
        assert not is_a_wait(ask(path, address="192.0.2.99", client="another", form=form))

    def test_count_at_all_endpoints_together(self) -> None:
        assert [ask(path).status_code for path in (*ENDPOINTS, "/o/token")] == [401, 401, 401, 429]

    def test_of_guessed_codes_and_tokens_count(self) -> None:
        app = an_app()

        statuses = [app.swap("guessed").status_code for _ in range(2)]
        statuses += [app.refresh("psr_guessed").status_code for _ in range(2)]

        assert statuses == [400, 400, 400, 429]

    def test_of_clients_that_may_not_introspect_count(self) -> None:
        app = a_machine()

        assert [app.post("/o/introspect", token="x").status_code for _ in range(4)] == [
            403, 403, 403, 429,
        ]  # fmt: skip

    def test_that_reach_the_limit_are_told_once(self, heard) -> None:
        for _ in range(5):
            ask("/o/token")

        (told,) = heard(events.THROTTLED)
        assert told.payload["kind"] == "client"
        assert "nobody" not in str(told.payload)

    @pytest.mark.parametrize("header", ["Basic", "Basic §", "Basic /w==", "Bearer x", ""])
    def test_without_a_name_count_by_address(self, header) -> None:
        answers = [form_post("/o/token", GRANT, header) for _ in range(4)]

        assert [answer.status_code for answer in answers[:3]] == [401] * 3
        assert is_a_wait(answers[3])


@pytest.mark.usefixtures("narrow")
class TestWhatSucceeds:
    def test_is_no_refusal(self) -> None:
        app = a_machine(may_introspect=True)

        answers = [app.post("/o/introspect", token="psa_unknown") for _ in range(10)]

        assert {answer.status_code for answer in answers} == {200}

    def test_gives_no_more_tokens_than_one_client_may_have(self) -> None:
        app = a_machine()

        answers = [app.token(grant_type="client_credentials", scope="tracker") for _ in range(8)]

        assert [answer.status_code for answer in answers[:6]] == [200] * 6
        assert all(map(is_a_wait, answers[6:]))
        assert AccessToken.objects.count() == 6
        forget_tries()
        assert app.token(grant_type="client_credentials", scope="tracker").status_code == 200


@pytest.mark.usefixtures("narrow")
class TestPersonalTokens:
    def test_are_bounded_on_page_and_api_together(self) -> None:
        client = signed_in(a_user())
        body = {"name": "Mine", "scopes": ["tracker"], "days": 7}

        first = client.post("/api/auth/tokens", body, content_type="application/json")
        second = client.post(reverse("oauth2_provider:tokens"), body)
        third = client.post(reverse("oauth2_provider:tokens"), body)
        fourth = client.post("/api/auth/tokens", body, content_type="application/json")

        assert (first.status_code, second.status_code) == (201, 200)
        assert (third.status_code, fourth.status_code) == (429, 429)
        assert is_a_wait(fourth)
        assert int(third["Retry-After"]) >= 1
        assert PersonalToken.objects.count() == 2
