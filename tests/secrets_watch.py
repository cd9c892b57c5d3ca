"""Looks for secrets in every log line and every error page that the suite makes.

What counts as a secret is learnt as the tests go: passwords of forms and JSON bodies, bearer
tokens, session cookies, keys of the settings, passwords of database URLs, and what a test names by
`used`. Lines are read as the site's own formatter writes them. A test that leaks fails itself; what
processes of a running site wrote is read at the end of the session.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from common.logging import StructuredFormatter
from common.middleware.base import Middleware

SHORTEST: Final = 8
"""Characters: shorter ones stand in many lines by chance."""
_FIELD: Final = re.compile(r"passw|secret|token$|otp|recovery|^code$|verifier", re.IGNORECASE)
_NO_SECRET: Final = frozenset({"csrfmiddlewaretoken", "usable_password"})
_HASH: Final = re.compile(r"\b(?:argon2|pbkdf2_sha256|bcrypt|scrypt|md5)\$[^\s\"']{20,}")
_URL_PASSWORD: Final = re.compile(r"://[^/\s:@]*:([^@\s]+)@")
_lock = threading.Lock()


class _Watch:
    """What was seen, and what must not be seen."""

    def __init__(self) -> None:
        self.always: set[str] = set()
        self.secrets: set[str] = set()
        self.seen: list[str] = []
        self.files: list[IO[bytes]] = []

    def begin(self) -> None:
        with _lock:
            self.secrets = set()
            self.seen = []

    def note(self, text: str) -> None:
        with _lock:
            self.seen.append(text)

    def leaks(self, texts: Iterable[str], secrets: Iterable[str]) -> list[str]:
        """Return where secrets stand, without repeating them."""
        whole = "\n".join(texts)
        found = [f"a secret of {len(each)} characters: …{_around(whole, each)}"
                 for each in sorted(secrets) if each in whole]  # fmt: skip
        return found + [f"a password's hash: {hit[0][:12]}…" for hit in _HASH.finditer(whole)][:3]


def _around(whole: str, secret: str) -> str:
    at = whole.index(secret)
    return whole[max(0, at - 120) : at] + "***"


watch = _Watch()


def used(*secrets: str) -> None:
    """Have these looked for until the session ends: a test's running site may write them later."""
    watch.always.update(secret for secret in secrets if len(secret) >= SHORTEST)


class Lines(logging.Handler):
    """Takes every line as the site would write it."""

    def __init__(self) -> None:
        """Format as in production."""
        super().__init__(logging.DEBUG)
        self.setFormatter(StructuredFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        try:
            watch.note(self.format(record))
        except Exception:  # noqa: BLE001 - a test's own odd record: its other handlers say so
            return


class Answers(Middleware):
    """The outermost: learns what a request brings, keeps the body of every refusal and failure."""

    def after(
        self, request: HttpRequest, response: HttpResponseBase, kept: None
    ) -> HttpResponseBase:
        """Look at both."""
        with _lock:
            watch.secrets.update(each for each in _brought(request) if len(each) >= SHORTEST)
        if response.status_code >= 400 and not response.streaming:
            watch.note(bytes(getattr(response, "content", b"")).decode(errors="replace"))
        return response


def _brought(request: HttpRequest) -> Iterator[str]:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        yield token.strip()
    yield request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
    yield from _secrets_in(_fields(request))


def _fields(request: HttpRequest) -> Any:
    if request.content_type == "application/json":
        body = getattr(request, "_body", b"")
        try:
            return json.loads(body) if len(body) < 100_000 else {}
        except (ValueError, RecursionError):
            return {}
    # Only what the view has read: nobody else's stream is consumed here.
    form = getattr(request, "_post", None)
    return dict(form.items()) if form is not None else {}


def _secrets_in(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _secrets_in(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets_in(inner, name)
    elif isinstance(value, str) and _FIELD.search(name) and name not in _NO_SECRET:
        yield value


def known_from_the_start(environment: Iterable[str]) -> set[str]:
    """Return the secrets of the settings and of URLs."""
    found = {settings.SECRET_KEY}
    found.update(str(entry.get("PASSWORD") or "") for entry in settings.DATABASES.values())
    for text in environment:
        found.update(_URL_PASSWORD.findall(text))
    return {secret for secret in found if len(secret) >= SHORTEST}


@contextmanager
def watching() -> Iterator[None]:
    """Watch one test.

    :raises AssertionError: at the end, when a secret stands in a line or on a page.
    """
    root = logging.getLogger()
    # Each time: a test may have configured logging anew.
    lines = Lines()
    root.addHandler(lines)
    watch.begin()
    try:
        yield
    finally:
        root.removeHandler(lines)
    found = watch.leaks(watch.seen, watch.secrets | watch.always)
    assert not found, f"Secrets were written down: {found}"
