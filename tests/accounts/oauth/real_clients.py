"""Clients of a running site: registered in its own database, speaking over HTTP."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx

from tests.running_site import Site

ADDRESS, PASSWORD = "oauth@example.org", "only-for-this-test-run"
REGISTER = """
import json
from accounts.models import Client, User
from accounts.oauth.services.clients import create_client

made = []
for fields in json.loads({text!r}):
    if fields.pop("acts", False):
        fields["user"] = User.objects.get(email={address!r})
    row = Client(**fields)
    row.full_clean(exclude=["client_secret"])
    made.append([create_client(row), row.client_id])
print(json.dumps(made))
"""


def register(site: Site, *clients: dict[str, Any]) -> list[tuple[str, str]]:
    """Register clients on the site; return id and secret of each."""
    script = REGISTER.format(text=json.dumps(clients), address=ADDRESS)
    said = site.manage("shell", "-v", "0", "-c", script).stdout.strip().splitlines()[-1]
    return [(client_id, secret) for secret, client_id in json.loads(said)]


def add_person(site: Site) -> None:
    """Make somebody who can sign in."""
    site.manage(
        *("ensure_development_admin", "--email", ADDRESS),
        DEBUG="true",
        DEVELOPMENT_ADMIN_PASSWORD=PASSWORD,
    )


def a_person(site: Site) -> httpx.Client:
    """Return a browser without a window, in which the person signed in."""
    browser = httpx.Client(base_url=site.url(""), timeout=30)
    token = _token_of(browser.get("/account/login/").text)
    answer = browser.post(
        "/account/login/",
        data={"login": ADDRESS, "password": PASSWORD, "csrfmiddlewaretoken": token},
    )
    assert answer.status_code == 302, answer.text
    return browser


def consent(person: httpx.Client, address: str) -> str:
    """Allow what the consent page at `address` asks for; return where it leads to."""
    page = person.get(address)
    assert page.status_code == 200, page.text
    answer = person.post(
        address, data={"decision": "allow", "csrfmiddlewaretoken": _token_of(page.text)}
    )
    assert answer.status_code == 302, answer.text
    return str(answer.headers["Location"])


@contextmanager
def callback() -> Iterator[tuple[str, list[str]]]:
    """Listen for the browser's return; yield the address and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/callback"):
                asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Back</title><p>Thank you.")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/callback", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _token_of(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found is not None
    return found[1]
