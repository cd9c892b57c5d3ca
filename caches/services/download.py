"""Fetching a URL within bounds: size, time, redirects, and no private networks unless allowed."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from caches.services.parsing import SourceRefused

TIMEOUT_SECONDS: Final = 30.0
TOTAL_SECONDS: Final = 900.0
"""For one answer, however steadily it drips."""
MAX_REDIRECTS: Final = 5
_CHUNK: Final = 256 * 1024


class SourceUnreachable(SourceRefused):
    """The source does not answer as it should just now; another try may succeed."""

    code, status, title = "caches.source_unreachable", 502, "The source does not answer"
    remedy = "Try again later; the zones of before answer on."


class _Pinned(http.client.HTTPConnection):
    """A connection to one checked address: the name is not resolved a second time."""

    def __init__(self, url: SplitResult, address: str, port: int) -> None:
        super().__init__(url.hostname or "", port, timeout=TIMEOUT_SECONDS)
        self._address = address
        self._encrypted = url.scheme == "https"

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), timeout=TIMEOUT_SECONDS)
        if self._encrypted:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


def download(url: str, *, limit: int, allow_private: bool) -> tuple[bytes, str]:
    """Return the bytes behind `url` and a name for people, without query or credentials.

    :param limit: bytes that are taken at most.
    :param allow_private: take private addresses and plain http, too.
    :raises SourceRefused: when the URL is not allowed, does not answer or answers too much.
    """
    for _ in range(MAX_REDIRECTS + 1):
        parts = urlsplit(url)
        answer = _fetch(parts, limit=limit, allow_private=allow_private)
        if isinstance(answer, bytes):
            return answer, f"{parts.hostname}{parts.path}"[:200]
        url = urljoin(url, answer)
    raise SourceRefused(f"{urlsplit(url).hostname} redirects too often.")


def _fetch(url: SplitResult, *, limit: int, allow_private: bool) -> bytes | str:
    """Return the body, or where a redirect leads."""
    connection = _connection(url, allow_private=allow_private)
    path = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
    try:
        connection.request("GET", path, headers={"User-Agent": "polystore", "Accept": "*/*"})
        response = connection.getresponse()
        location = response.getheader("Location")
        if response.status in {301, 302, 303, 307, 308} and location:
            return location
        if response.status != http.client.OK:
            passing = response.status in {408, 429} or response.status >= 500
            kind = SourceUnreachable if passing else SourceRefused
            raise kind(f"{url.hostname} answered {response.status}.")
        return _body(response, url, limit)
    except (OSError, http.client.HTTPException) as error:
        reason = type(error).__name__
        raise SourceUnreachable(f"{url.hostname} could not be read ({reason}).") from None
    finally:
        connection.close()


def _body(response: http.client.HTTPResponse, url: SplitResult, limit: int) -> bytes:
    data = bytearray()
    deadline = time.monotonic() + TOTAL_SECONDS
    while chunk := response.read(_CHUNK):
        data += chunk
        if len(data) > limit:
            raise SourceRefused(f"{url.hostname} sends more than {limit // 1024**2} MB.")
        if time.monotonic() > deadline:
            raise SourceUnreachable(f"{url.hostname} took more than {TOTAL_SECONDS:g} s.")
    expected = response.getheader("Content-Length")
    if expected is not None and expected.isdigit() and int(expected) != len(data):
        raise SourceUnreachable(f"{url.hostname} broke off in the middle.")
    return bytes(data)


def _connection(url: SplitResult, *, allow_private: bool) -> _Pinned:
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
    return _Pinned(url, addresses[0], port)


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_global and not ip.is_multicast
