"""Fetching a URL within bounds: size, time, redirects, and no private networks unless allowed."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from caches.services.parsing import SourceRefused

TIMEOUT_SECONDS: Final = 30.0
TOTAL_SECONDS: Final = 900.0
"""For one answer, however steadily it drips."""
MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CHUNK: Final = 256 * 1024


class SourceUnreachable(SourceRefused):
    """The source does not answer as it should just now; another try may succeed."""

    code, status, title = "caches.source_unreachable", 502, "The source does not answer"
    remedy = "Try again later; the zones of before answer on."


class _Pinned(http.client.HTTPConnection):
    """A connection to one checked address: the name is not resolved a second time."""

    def __init__(self, url: SplitResult, address: str, port: int, *, timeout: float) -> None:
        super().__init__(url.hostname or "", port, timeout=timeout)
        self._address = address
        self._encrypted = url.scheme == "https"

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), timeout=self.timeout)
        if self._encrypted:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """By their names in small letters."""
    body: bytes


def download(url: str, *, limit: int, allow_private: bool) -> tuple[bytes, str]:
    """Return the bytes behind `url` and a name for people, without query or credentials.

    :param limit: bytes that are taken at most.
    :param allow_private: take private addresses and plain http, too.
    :raises SourceRefused: when the URL is not allowed, does not answer or answers too much.
    """
    for _ in range(MAX_REDIRECTS + 1):
        parts = urlsplit(url)
        answer = exchange(url, limit=limit, allow_private=allow_private)
        if answer.status == http.client.OK:
            return answer.body, f"{parts.hostname}{parts.path}"[:200]
        if answer.status not in _REDIRECTS or not answer.headers.get("location"):
            passing = answer.status in {408, 429} or answer.status >= 500
            kind = SourceUnreachable if passing else SourceRefused
            raise kind(f"{parts.hostname} answered {answer.status}.")
        url = urljoin(url, answer.headers["location"])
    raise SourceRefused(f"{urlsplit(url).hostname} redirects too often.")


def exchange(
    url: str,
    *,
    limit: int,
    allow_private: bool,
    seconds: float = TOTAL_SECONDS,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """Put one question and return its whole answer; redirects are told, not followed.

    :param limit: bytes that are taken at most.
    :param allow_private: take private addresses and plain http, too.
    :param seconds: for all of it, beside the look-up of the host's name.
    :param body: what is posted; without it the question is a GET.
    :raises SourceRefused: when the URL is not allowed or answers too much.
    :raises SourceUnreachable: when it does not answer in time, or not whole.
    """
    parts = urlsplit(url)
    deadline = time.monotonic() + seconds
    connection = _connection(parts, allow_private=allow_private, seconds=seconds)
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    told = {"User-Agent": "polystore", "Accept": "*/*", **(headers or {})}
    try:
        connection.request("GET" if body is None else "POST", path, body=body, headers=told)
        with connection.getresponse() as response:
            return Answer(
                status=response.status,
                headers={name.lower(): value for name, value in response.getheaders()},
                body=_body(response, parts, limit, deadline),
            )
    except (OSError, http.client.HTTPException) as error:
        reason = type(error).__name__
        raise SourceUnreachable(f"{parts.hostname} could not be read ({reason}).") from None
    finally:
        connection.close()


def _body(
    response: http.client.HTTPResponse, url: SplitResult, limit: int, deadline: float
) -> bytes:
    data = bytearray()
    # What one read brings: a whole chunk of what drips may take for ever.
    while chunk := response.read1(_CHUNK):
        data += chunk
        if len(data) > limit:
            raise SourceRefused(f"{url.hostname} sends more than {limit / 1024**2:g} MB.")
        if time.monotonic() > deadline:
            raise SourceUnreachable(f"{url.hostname} took too long.")
    expected = response.getheader("Content-Length")
    if expected is not None and expected.isdigit() and int(expected) != len(data):
        raise SourceUnreachable(f"{url.hostname} broke off in the middle.")
    return bytes(data)


def _connection(url: SplitResult, *, allow_private: bool, seconds: float) -> _Pinned:
    if url.scheme not in ({"http", "https"} if allow_private else {"https"}) or not url.hostname:
        raise SourceRefused("Only https addresses are fetched.")
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
        found = socket.getaddrinfo(url.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        raise SourceUnreachable(f"The host {url.hostname} is not known.") from None
    addresses = [str(entry[4][0]) for entry in found]
    if not allow_private and not all(_is_public(address) for address in addresses):
        raise SourceRefused(
            f"{url.hostname} leads into a private network; allow that if it is meant."
        )
    return _Pinned(url, addresses[0], port, timeout=min(TIMEOUT_SECONDS, seconds))


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_global and not ip.is_multicast
