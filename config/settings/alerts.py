"""How the site reaches people: mail, and whom alerts go to."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from config.settings.env import items, refuse, text

_MAIL = {"smtp": (25, False, False), "smtp+tls": (587, True, False), "smtps": (465, False, True)}
"""Scheme of EMAIL_URL to port, STARTTLS, TLS from the first byte."""
_BACKEND = "django.core.mail.backends."


def _read_email_url(url: str) -> dict[str, object]:
    """Return the settings that EMAIL_URL stands for; refuses without repeating it."""
    refused = refuse(
        "EMAIL_URL must be smtp://, smtp+tls:// or smtps:// with user:password@host:port, or "
        "console://, and special characters in the password must be %-encoded."
    )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise refused from None
    if parts.scheme == "console":
        return {"backend": f"{_BACKEND}console.EmailBackend"}
    if parts.scheme not in _MAIL or not parts.hostname or parts.path.strip("/") or parts.query:
        raise refused
    default_port, starttls, tls = _MAIL[parts.scheme]
    return {
        "backend": f"{_BACKEND}smtp.EmailBackend",
        "host": parts.hostname,
        "port": port or default_port,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "starttls": starttls,
        "tls": tls,
    }


_email = _read_email_url(text("EMAIL_URL", "smtp://localhost:25"))
EMAIL_BACKEND = str(_email["backend"])
EMAIL_HOST = str(_email.get("host", "localhost"))
EMAIL_PORT = _email.get("port", 25)
EMAIL_HOST_USER = str(_email.get("user", ""))
EMAIL_HOST_PASSWORD = str(_email.get("password", ""))
EMAIL_USE_TLS = bool(_email.get("starttls", False))
EMAIL_USE_SSL = bool(_email.get("tls", False))
EMAIL_TIMEOUT = 5
"""Seconds for each step with the mail server; nothing that a person waits for sends mail itself."""
EMAIL_SUBJECT_PREFIX = "[Polystore] "
DEFAULT_FROM_EMAIL = text("DEFAULT_FROM_EMAIL", "polystore@localhost")
SERVER_EMAIL = DEFAULT_FROM_EMAIL


_PERSON = re.compile(r"(?:(?P<name>[^<>@]*?)\s*<)?(?P<address>[^\s<>@]+@[^\s<>@]+)(?(name)>)")


def _read_admins(given: list[str]) -> list[tuple[str, str]]:
    """Return (name, address) for "a@b.c" and "Name <d@e.f>"."""
    found = [_PERSON.fullmatch(part) for part in given]
    if None in found:
        raise refuse("ADMINS must list e-mail addresses: a@b.c,Name <d@e.f>.")
    return [(match["name"] or "", match["address"]) for match in found if match is not None]


ADMINS = _read_admins(items("ADMINS"))
"""Who gets alerts by e-mail."""


def _read_webhook(url: str) -> str:
    """Return the address; refuses one that would send alerts unencrypted over a network."""
    refused = refuse("ALERT_WEBHOOK_URL must be an https:// URL (http:// only to localhost).")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise refused from None
    local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise refused
    if not parts.hostname or parts.username or not url.isascii() or " " in url:
        raise refused
    return url


ALERT_WEBHOOK_URL = _read_webhook(text("ALERT_WEBHOOK_URL")) if text("ALERT_WEBHOOK_URL") else ""
"""Takes each alert as a JSON POST. Its address may be a secret: it is never shown or logged."""
