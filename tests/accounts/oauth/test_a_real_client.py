"""Authlib, which knows nothing of us, against the running site: discovery to revocation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from playwright.sync_api import Page, expect

from tests.accounts.oauth.real_clients import (
    ADDRESS,
    PASSWORD,
    a_person,
    add_person,
    callback,
    consent,
    register,
)
from tests.browsing import WINDOWS, a_page, needs_chromium, too_wide
from tests.running_site import Site

BACK = "https://app.example.org/callback"
TODOS = "/api/todos"


@pytest.fixture(scope="module", autouse=True)
def over_http() -> Iterator[None]:
    """Let Authlib speak to 127.0.0.1 without TLS."""
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    yield
    del os.environ["AUTHLIB_INSECURE_TRANSPORT"]


@pytest.fixture(scope="module")
def listening() -> Iterator[tuple[str, list[str]]]:
    with callback() as made:
        yield made


@pytest.fixture(scope="module")
def known(site, listening) -> dict[str, tuple[str, str]]:
    """Return id and secret of each registered client, by a name of ours."""
    add_person(site)
    asks = {"redirect_uris": f"{BACK}\n{listening[0]}", "scopes": ["tracker", "zones:read"]}
    clients: dict[str, dict[str, Any]] = {
        "server": {"name": "Example reports", **asks},
        "phone": {"name": "Example app", "client_type": "public", **asks},
        "machine": {
            "name": "Nightly job",
            "authorization_grant_type": "client-credentials",
            "scopes": ["tracker"],
            "acts": True,
            "may_introspect": True,
        },
    }
    return dict(zip(clients, register(site, *clients.values()), strict=True))


@pytest.fixture(scope="module")
def metadata(site) -> dict[str, Any]:
    found: dict[str, Any] = site.get("/.well-known/oauth-authorization-server").json()
    return found


@pytest.fixture(scope="module")
def person(site, known) -> Iterator[httpx.Client]:
    made = a_person(site)
    yield made
    made.close()


class Rival:
    """Authlib's client, set up from the metadata document alone."""

    def __init__(self, metadata: dict[str, Any], client: tuple[str, str], back: str = BACK) -> None:
        self.metadata = metadata
        public = {} if client[1] else {"token_endpoint_auth_method": "none"}
        self.session = OAuth2Session(
            client_id=client[0],
            client_secret=client[1],
            scope="tracker",
            redirect_uri=back,
            code_challenge_method="S256",
            default_timeout=30,
            **public,
        )
        self.verifier = generate_token(48)

    def address(self, **changes: str) -> str:
        given = {"code_verifier": self.verifier} | changes
        url, self.state = self.session.create_authorization_url(
            self.metadata["authorization_endpoint"], **given
        )
        return str(url)

    def fetch(self, came_back_to: str, verifier: str = "") -> dict[str, Any]:
        found: dict[str, Any] = self.session.fetch_token(
            self.metadata["token_endpoint"],
            authorization_response=came_back_to,
            code_verifier=verifier or self.verifier,
            state=self.state,
        )
        return found

    def refresh(self, value: str) -> dict[str, Any]:
        found: dict[str, Any] = self.session.refresh_token(
            self.metadata["token_endpoint"], refresh_token=value
        )
        return found

    def introspect(self, value: str) -> Any:
        return self.session.introspect_token(
            self.metadata["introspection_endpoint"], token=value
        ).json()

    def revoke(self, value: str) -> None:
        answer = self.session.revoke_token(self.metadata["revocation_endpoint"], token=value)
        assert answer.status_code == 200


@pytest.fixture
def rival_of(metadata, known) -> Iterator[Callable[..., Rival]]:
    """Return a function that sets Authlib up as one of the registered clients."""
    made: list[Rival] = []

    def make(kind: str, back: str = BACK) -> Rival:
        made.append(Rival(metadata, known[kind], back))
        return made[-1]

    yield make
    for each in made:
        each.session.close()


def opens(site: Site, tokens: dict[str, Any]) -> int:
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    return site.get(TODOS, headers=headers).status_code


def test_the_metadata_is_what_the_standard_wants(site, metadata) -> None:
    # Everything but the scheme: the standard wants https, which this machine does not speak.
    text = {
        key: value.replace("http://", "https://") if isinstance(value, str) else value
        for key, value in metadata.items()
    }

    AuthorizationServerMetadata(text).validate()
    assert metadata["issuer"] == site.url("").rstrip("/")


class TestInABrowser:
    pytestmark = needs_chromium

    @pytest.fixture(params=WINDOWS)
    def page(self, request, browser, site, known) -> Iterator[Page]:
        """Open a window; whatever the console says on pages of ours is a failure."""
        context, opened, said = a_page(browser, site.url(""), request.param)
        yield opened
        context.close()
        assert said == []

    def sign_in(self, page: Page) -> None:
        page.locator("input[name=login]").fill(ADDRESS)
        page.locator("input[name=password]").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()

    @pytest.mark.parametrize("kind", ["server", "phone"])
    def test_a_client_goes_the_whole_way(self, page, site, rival_of, listening, kind) -> None:
        back, asked = listening
        rival = rival_of(kind, back)

        page.goto(rival.address())
        self.sign_in(page)
        expect(page.locator("h1")).to_contain_text("to act for you?")
        expect(page.locator("main")).to_contain_text(ADDRESS)
        expect(page.locator("main")).to_contain_text("See and change your todos")
        assert too_wide(page) == 0
        page.get_by_role("button", name="Allow", exact=True).click()
        expect(page).to_have_title("Back")

        tokens = rival.fetch(asked[-1])
        assert opens(site, tokens) == 200
        fresh = rival.refresh(tokens["refresh_token"])
        assert opens(site, fresh) == 200
        told = rival_of("machine").introspect(fresh["access_token"])
        assert (told["active"], told["client_id"]) == (True, rival.session.client_id)
        rival.revoke(fresh["access_token"])
        assert opens(site, fresh) == 401
        assert rival_of("machine").introspect(fresh["access_token"]) == {"active": False}
        with pytest.raises(OAuthError, match="invalid_grant"):
            rival.refresh(fresh["refresh_token"])

    def test_who_does_not_allow_goes_back_without_a_code(self, page, rival_of, listening) -> None:
        back, asked = listening
        page.goto(rival_of("server", back).address())
        self.sign_in(page)

        page.get_by_role("button", name="Do not allow").click()

        expect(page).to_have_title("Back")
        assert parse_qs(urlsplit(asked[-1]).query)["error"] == ["access_denied"]

    def test_people_make_use_and_revoke_tokens_of_their_own(self, page, site) -> None:
        page.goto("/account/tokens/")
        self.sign_in(page)
        page.get_by_label("Name", exact=True).fill("My script")
        page.get_by_label("Valid for").select_option("30")
        page.get_by_label("See and change your todos").check()
        page.get_by_role("button", name="Make the token").click()

        value = page.get_by_label("Value").input_value()
        assert opens(site, {"access_token": value}) == 200
        assert too_wide(page) == 0
        page.goto("/account/tokens/")
        expect(page.locator("main")).to_contain_text("My script")
        expect(page.locator("main")).to_contain_text("last used")
        assert value not in page.content()
        page.get_by_role("button", name="Revoke My script").first.click()
        expect(page.get_by_role("status")).to_contain_text("is revoked")
        assert opens(site, {"access_token": value}) == 401


class TestIsRefused:
    @pytest.fixture
    def rival(self, rival_of) -> Rival:
        made: Rival = rival_of("phone")
        return made

    def test_a_wrong_verifier(self, site, rival, person) -> None:
        came_back_to = consent(person, rival.address())

        with pytest.raises(OAuthError, match="invalid_grant"):
            rival.fetch(came_back_to, verifier=generate_token(48))

    def test_a_reused_code_and_its_tokens_die(self, site, rival, person) -> None:
        came_back_to = consent(person, rival.address())
        tokens = rival.fetch(came_back_to)
        assert opens(site, tokens) == 200

        with pytest.raises(OAuthError, match="invalid_grant"):
            rival.fetch(came_back_to)

        assert opens(site, tokens) == 401

    def test_a_reused_refresh_token_and_the_family_dies(self, site, rival, person) -> None:
        first = rival.fetch(consent(person, rival.address()))
        second = rival.refresh(first["refresh_token"])

        with pytest.raises(OAuthError, match="invalid_grant"):
            rival.refresh(first["refresh_token"])

        assert [opens(site, each) for each in (first, second)] == [401, 401]
        with pytest.raises(OAuthError, match="invalid_grant"):
            rival.refresh(second["refresh_token"])

    def test_a_redirect_that_differs_by_one_character(self, rival, person) -> None:
        answer = person.get(rival.address(redirect_uri=BACK + "x"))

        assert answer.status_code == 400
        assert "cannot be answered" in answer.text

    def test_a_scope_beyond_the_clients(self, rival, person) -> None:
        answer = person.get(rival.address(scope="tracker documents"))

        assert "error=invalid_scope" in answer.headers["Location"]

    def test_an_expired_token(self, site, rival, person) -> None:
        tokens = rival.fetch(consent(person, rival.address()))
        assert opens(site, tokens) == 200
        with psycopg.connect(site.environment["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("UPDATE accounts_accesstoken SET expires_at = now()")

        assert opens(site, tokens) == 401

    @pytest.mark.parametrize(
        "changes",
        [
            {"code_challenge_method": "plain"},
            {"code_verifier": "", "code_challenge": "", "code_challenge_method": ""},
        ],
        ids=["plain", "none"],
    )
    def test_pkce_that_proves_nothing(self, rival, person, changes) -> None:
        address = httpx.URL(rival.address()).copy_merge_params(changes)

        answer = person.get(str(address))

        assert "error=invalid_request" in answer.headers["Location"]

    def test_a_token_in_the_query(self, site, rival, person) -> None:
        tokens = rival.fetch(consent(person, rival.address()))

        answer = site.get(f"{TODOS}?access_token={tokens['access_token']}")

        assert answer.status_code == 401


def test_a_machine_uses_its_own_credentials(site, metadata, rival_of) -> None:
    session = rival_of("machine").session

    tokens = session.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")

    assert opens(site, tokens) == 200
    assert "refresh_token" not in tokens


def test_processes_that_swap_one_refresh_token_give_one_answer(site, rival_of, person) -> None:
    """Eight requests at two web processes: one wins, and what it won dies with the family."""
    for _ in range(3):
        rival = rival_of("phone")
        first = rival.fetch(consent(person, rival.address()))
        form = {
            "grant_type": "refresh_token",
            "refresh_token": first["refresh_token"],
            "client_id": rival.session.client_id,
        }
        ask = partial(httpx.post, rival.metadata["token_endpoint"], data=form, timeout=30)

        with ThreadPoolExecutor(8) as threads:
            asked = [threads.submit(ask) for _ in range(8)]
        answers = [each.result() for each in asked]

        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
        won = next(answer.json() for answer in answers if answer.status_code == 200)
        assert opens(site, won) == 401
        with pytest.raises(OAuthError, match="invalid_grant"):
            rival.refresh(won["refresh_token"])
