"""How much a request may hold, and what every answer tells browsers."""

from __future__ import annotations

import json

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient, Client

from common.middleware import policy

pytestmark = [pytest.mark.urls("tests.api.urls"), pytest.mark.django_db]


def send(client: Client, body: bytes, path: str = "/api/auth/login", **headers: str):
    """Send bytes as JSON."""
    return client.post(path, body, content_type="application/json", headers=headers)


def nested(depth: int) -> bytes:
    """Return lists within each other."""
    return b"[" * depth + b"]" * depth


class TestABodyOfJson:
    @pytest.mark.parametrize(
        ("depth", "status", "code"),
        [
            (33, 413, "request.too_complex"),
            (500, 413, "request.too_complex"),
            (200_000, 400, "request.body_unreadable"),
        ],
    )
    def test_that_nests_too_deeply_is_refused(self, client, depth, status, code) -> None:
        answer = send(client, nested(depth))

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer["Content-Type"] == "application/problem+json"

    def test_that_nests_as_deeply_as_allowed_is_read(self, client) -> None:
        assert send(client, nested(32)).json()["code"] == "request.invalid"

    def test_that_holds_too_many_values_is_refused(self, client) -> None:
        answer = send(client, json.dumps({"email": [0] * 100_001}).encode())

        assert (answer.status_code, answer.json()["code"]) == (413, "request.too_complex")

    def test_that_is_too_large_is_refused(self, client, settings) -> None:
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100

        answer = send(client, b'{"email": "' + b"a" * 200 + b'"}')

        assert (answer.status_code, answer.json()["code"]) == (413, "http.too_large")


class TestARequestThatAnnouncesTooMuch:
    def test_is_refused_unread_by_the_api(self, client, settings) -> None:
        settings.MAX_REQUEST_BYTES = 1_000

        answer = send(client, b"{}" + b" " * 1_000)

        assert (answer.status_code, answer.json()["code"]) == (413, "http.too_large")

    def test_is_refused_on_pages_with_a_page(self, client, settings) -> None:
        settings.MAX_REQUEST_BYTES = 1_000
        file = SimpleUploadedFile("a.bin", b"x" * 2_000)

        answer = client.post("/account/login/", {"file": file})

        assert answer.status_code == 413
        assert "text/html" in answer["Content-Type"]
        assert "Send less at once" in answer.content.decode()

    @pytest.mark.parametrize("length", ["9" * 30, "-5", "many"])
    def test_or_no_number_is_refused(self, client, length) -> None:
        answer = client.generic(
            "POST", "/api/auth/login", b"{}", "application/json", CONTENT_LENGTH=length
        )

        assert answer.status_code == 413

    def test_is_refused_by_asynchronous_processes_too(self, settings) -> None:
        settings.MAX_REQUEST_BYTES = 10
        body = b"{}" + b" " * 100

        answer = async_to_sync(AsyncClient().post)(
            "/api/auth/login", body, content_type="application/json"
        )

        assert answer.status_code == 413


class TestEveryAnswer:
    @pytest.mark.parametrize("path", ["/account/login/", "/api/docs", "/admin/login/", "/nowhere"])
    def test_may_not_be_framed_or_sniffed_and_tells_no_other_site_where_it_came_from(
        self, client, path
    ) -> None:
        answer = client.get(path)

        assert answer["X-Frame-Options"] == "DENY"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Referrer-Policy"] == "same-origin"
        assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]

    def test_of_the_admin_alone_may_evaluate_and_style_within_the_page(self, client) -> None:
        pages = client.get("/account/login/")["Content-Security-Policy"]
        admin = client.get("/admin/login/")["Content-Security-Policy"]

        assert "unsafe" not in pages
        assert "script-src 'self' 'unsafe-eval';" in admin
        assert "style-src 'self' 'unsafe-inline';" in admin
        assert admin.count("unsafe") == 2
        assert pages == policy.PAGES

    def test_to_an_unknown_host_is_a_refusal(self, client) -> None:
        assert client.get("/account/login/", headers={"host": "evil.example"}).status_code == 400
        refused = send(client, b"{}", host="evil.example")
        assert refused.status_code == 400

    def test_sets_cookies_that_scripts_of_other_sites_cannot_use(self, client) -> None:
        client.get("/account/login/")
        cookie = client.cookies["csrftoken"]

        assert cookie["samesite"] == "Lax"
