"""The steps of a client, in the test's own process."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from django.test import Client as Browser

from accounts.models import Client, User
from accounts.models.oauth import ClientType, Flow
from accounts.oauth.services.clients import create_client

CALLBACK = "https://app.example.org/callback"
ISSUER = "http://testserver"


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass(kw_only=True)
class App:
    """A registered client, with the secret that only its makers know."""

    row: Client
    secret: str
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def ask(self, **changes: str | None) -> dict[str, str]:
        """Return the query of a request for consent; None leaves a parameter out."""
        query: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.row.client_id,
            "redirect_uri": CALLBACK,
            "scope": "tracker",
            "state": "kept",
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in (query | changes).items() if value is not None}

    def code_from(self, browser: Browser, **changes: str | None) -> str:
        """Have the signed-in person allow it, and return the code."""
        answer = allow(browser, self.ask(**changes))
        assert answer.status_code == 302, answer.content
        return parameters_of(answer["Location"])["code"]

    def swap(self, code: str, **changes: str | None) -> Any:
        """Ask for the tokens of a code."""
        return self.token(
            **{
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": CALLBACK,
                "code_verifier": self.verifier,
            }
            | changes
        )

    def refresh(self, value: str, **changes: str | None) -> Any:
        """Ask for the next tokens."""
        return self.token(**{"grant_type": "refresh_token", "refresh_token": value} | changes)

    def token(self, **form: str | None) -> Any:
        """Ask the token endpoint, as the client that it is."""
        return self.post("/o/token", **form)

    def post(self, path: str, **form: str | None) -> Any:
        """Send a form as this client."""
        given = {name: value for name, value in form.items() if value is not None}
        if not self.secret:
            return form_post(path, {"client_id": self.row.client_id, **given})
        return form_post(path, given, basic(self.row.client_id, self.secret))

    def tokens(self, user: User, **changes: str | None) -> dict[str, Any]:
        """Go the whole way, and return the answer with the tokens."""
        browser = Browser()
        browser.force_login(user)
        answer = self.swap(self.code_from(browser, **changes))
        assert answer.status_code == 200, answer.content
        found: dict[str, Any] = answer.json()
        return found


def an_app(*, public: bool = False, scopes: tuple[str, ...] = ("tracker",), **fields: Any) -> App:
    """Register a client that asks people."""
    kind = ClientType.PUBLIC if public else ClientType.CONFIDENTIAL
    row = Client(
        name="An app", client_type=kind, redirect_uris=CALLBACK, scopes=list(scopes), **fields
    )
    row.full_clean(exclude=["client_secret"])
    return App(row=row, secret=create_client(row))


def a_machine(*, scopes: tuple[str, ...] = ("tracker",), **fields: Any) -> App:
    """Register a client that acts by itself."""
    row = Client(
        name="A machine",
        authorization_grant_type=Flow.CLIENT,
        scopes=list(scopes),
        **fields,
    )
    row.full_clean(exclude=["client_secret"])
    return App(row=row, secret=create_client(row))


def allow(browser: Browser, query: dict[str, str], *, decision: str = "allow") -> Any:
    """Answer the question of the consent page."""
    return browser.post(f"/o/authorize?{urlencode(query)}", {"decision": decision})


def parameters_of(address: str) -> dict[str, str]:
    """Return the parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def basic(client_id: str, secret: str) -> str:
    """Return the header of HTTP Basic."""
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def form_post(path: str, form: dict[str, str], authorization: str = "") -> Any:
    """Send a form as a program does: without cookies, with CSRF enforced."""
    headers = {"authorization": authorization} if authorization else {}
    return Browser(enforce_csrf_checks=True).post(
        path, urlencode(form), content_type="application/x-www-form-urlencoded", headers=headers
    )


def call(token: str, path: str = "/api/todos", method: str = "GET", **kwargs: Any) -> Any:
    """Call the API with a token and nothing else."""
    headers = {"authorization": f"Bearer {token}"}
    return Browser(enforce_csrf_checks=True).generic(method, path, headers=headers, **kwargs)
