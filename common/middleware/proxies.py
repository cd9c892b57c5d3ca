"""Believe forwarded addresses and schemes from TRUSTED_PROXIES only."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from django.conf import settings
from django.core.signals import setting_changed
from django.http import HttpRequest

from common.middleware.base import Middleware

UNIX_SOCKET: Final = "unix"
"""Stands in TRUSTED_PROXIES for a proxy that connects through a unix socket."""

_FORWARDED: Final = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_FORWARDED",
    "HTTP_X_REAL_IP",
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class TrustedProxies(Middleware):
    """First in the chain: everything behind it may believe REMOTE_ADDR and `is_secure()`.

    From a trusted proxy, REMOTE_ADDR becomes the last address in X-Forwarded-For that is no
    trusted proxy itself, and X-Forwarded-Proto says the scheme. From anybody else, these headers
    are removed.
    """

    def __init__(self, get_response: Any) -> None:
        """Read TRUSTED_PROXIES."""
        super().__init__(get_response)
        self._networks: tuple[Network, ...] = ()
        self._trusts_socket = False
        self._read(setting="TRUSTED_PROXIES")
        setting_changed.connect(self._read)

    def before(self, request: HttpRequest) -> None:
        """Put the client's address and scheme into `request.META`, or remove what is claimed."""
        meta = request.META
        if not self._trusts(meta.get("REMOTE_ADDR", "")):
            for header in _FORWARDED:
                meta.pop(header, None)
            return
        if client := self._client(meta.get("HTTP_X_FORWARDED_FOR", "")):
            meta["REMOTE_ADDR"] = client
        if scheme := meta.get("HTTP_X_FORWARDED_PROTO"):
            # The nearest proxy's word is the last one.
            meta["HTTP_X_FORWARDED_PROTO"] = scheme.rpartition(",")[2].strip().lower()

    def _client(self, forwarded_for: str) -> str:
        client = ""
        for part in reversed(forwarded_for.split(",")):
            address = parse_address(part.strip())
            if address is None:
                return client
            client = str(address)
            if not self._contains(address):
                return client
        return client

    def _trusts(self, remote: str) -> bool:
        if not remote:
            return self._trusts_socket
        address = parse_address(remote)
        return address is not None and self._contains(address)

    def _contains(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def _read(self, *, setting: str, **_: Any) -> None:
        if setting == "TRUSTED_PROXIES":
            self._networks, self._trusts_socket = parse_proxies(settings.TRUSTED_PROXIES)


def parse_proxies(items: list[str]) -> tuple[tuple[Network, ...], bool]:
    """Return the networks, and whether unix sockets are trusted.

    :raises ValueError: where an item is neither an address, a network, nor "unix".
    """
    networks = tuple(ip_network(item, strict=False) for item in items if item != UNIX_SOCKET)
    return networks, UNIX_SOCKET in items


def parse_address(text: str) -> Address | None:
    """Return the address in `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80`, else None."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
