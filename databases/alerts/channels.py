"""The two ways out of the house: e-mail to ADMINS, and a JSON POST to the webhook."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage

from databases.alerts.message import Alert

SECONDS: Final = 5.0
"""Bounds each step of a delivery: to connect, to send, to be answered."""

Channel = Callable[[Alert], None]


class NotDelivered(Exception):
    """The channel did not take the alert."""


def configured() -> Mapping[str, Channel]:
    """Return the channels that the settings name."""
    found: dict[str, Channel] = {}
    if settings.ADMINS:
        found["email"] = send_email
    if settings.ALERT_WEBHOOK_URL:
        found["webhook"] = post_to_webhook
    return found


def send_email(alert: Alert) -> None:
    """Send one message to all ADMINS; bounded by EMAIL_TIMEOUT.

    :raises OSError: when the mail server does not take it (smtplib's errors are OSErrors).
    """
    EmailMessage(
        subject=alert.subject(),
        body=alert.body(),
        from_email=settings.SERVER_EMAIL,
        to=[address for _, address in settings.ADMINS],
    ).send()


def post_to_webhook(alert: Alert) -> None:
    """Post the alert; redirects are not followed, and the answer's body is not read.

    :raises NotDelivered: when the answer is no success.
    :raises OSError: when nobody answers in time.
    """
    url = urlsplit(settings.ALERT_WEBHOOK_URL)
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=SECONDS)
    path = f"{url.path or '/'}{'?' if url.query else ''}{url.query}"
    try:
        connection.request(
            "POST",
            path,
            body=json.dumps(alert.document()).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "polystore-alerts"},
        )
        status = connection.getresponse().status
    except HTTPException as error:
        raise NotDelivered(type(error).__name__) from None
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise NotDelivered(f"status {status}")
