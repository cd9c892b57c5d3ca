"""Ask the site in this container whether it lives: exit 0 if it answers `/health`, else 1.

Asks as the proxy in front would: for a host that is allowed, and over https, so that neither the
check of hosts nor the redirect to https answers in the site's stead.
"""

from __future__ import annotations

import http.client
import os
import sys

TIMEOUT = 2.5
"""Seconds; below HEALTHCHECK's own, so that the reason is printed."""


def host() -> str:
    """Return a host name that the site serves."""
    first = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip()
    return "localhost" if first in {"", "*"} else first.lstrip(".")


def main() -> int:
    """Ask once."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=TIMEOUT
    )
    headers = {"Host": host(), "X-Forwarded-Proto": "https"}
    try:
        connection.request("GET", "/health", headers=headers)
        answer = connection.getresponse()
        text = answer.read(200).decode(errors="replace")
    except OSError as error:
        print(f"no answer: {error}")
        return 1
    print(f"{answer.status} {text}")
    return 0 if answer.status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())
