"""Forwarded addresses and schemes are believed from TRUSTED_PROXIES only."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from common.middleware import TrustedProxies
from common.middleware.proxies import parse_address, parse_proxies


def seen_behind(settings, proxies, *, remote="10.0.0.1", **headers):
    """Return the request as the site sees it behind the middleware."""
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=remote)
    TrustedProxies(lambda _: HttpResponse())(request)
    return request


@pytest.mark.parametrize("proxies", [[], ["10.0.0.2"], ["192.168.0.0/16", "unix"]])
def test_nobody_else_is_believed(settings, proxies):
    request = seen_behind(
        settings,
        proxies,
        **{
            "x-forwarded-for": "6.6.6.6",
            "x-forwarded-proto": "https",
            "x-forwarded-host": "evil",
            "forwarded": "for=6.6.6.6",
            "x-real-ip": "6.6.6.6",
        },
    )

    assert request.META["REMOTE_ADDR"] == "10.0.0.1"
    assert not request.is_secure()
    assert not [key for key in request.META if "FORWARDED" in key or "REAL_IP" in key]


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:4711, 10.0.0.7", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("10.0.0.8, 10.0.0.7", "10.0.0.8"),
        ("nonsense, 10.0.0.7", "10.0.0.7"),
        ("nonsense", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_the_client_is_the_nearest_address_that_is_no_proxy_of_ours(
    settings, forwarded_for, client
):
    request = seen_behind(settings, ["10.0.0.0/24"], **{"x-forwarded-for": forwarded_for})

    assert request.META["REMOTE_ADDR"] == client


@pytest.mark.parametrize(
    ("scheme", "secure"),
    [("https", True), ("HTTPS", True), ("http", False), ("https, http", False), ("x", False)],
)
def test_a_trusted_proxy_says_the_scheme(settings, scheme, secure):
    request = seen_behind(settings, ["10.0.0.1"], **{"x-forwarded-proto": scheme})

    assert request.is_secure() is secure


def test_a_proxy_on_a_unix_socket_is_named_unix(settings):
    trusted = seen_behind(settings, ["unix"], remote="", **{"x-forwarded-for": "203.0.113.9"})
    stranger = seen_behind(settings, ["10.0.0.1"], remote="", **{"x-forwarded-for": "6.6.6.6"})

    assert trusted.META["REMOTE_ADDR"] == "203.0.113.9"
    assert stranger.META["REMOTE_ADDR"] == ""


def test_what_is_no_network_is_refused():
    with pytest.raises(ValueError, match=r"10\.0\.0"):
        parse_proxies(["10.0.0"])


def test_what_is_no_address_is_none():
    assert parse_address("unknown") is None
