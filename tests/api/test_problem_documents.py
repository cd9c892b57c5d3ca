"""Every error under /api/ is a problem document; people get a page; nobody gets our secrets."""

from __future__ import annotations

import json

import pytest
from django.test import Client

pytestmark = pytest.mark.urls("tests.api.urls")

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "remedy", "requestId"}


@pytest.fixture
def client():
    return Client(raise_request_exception=False)


def the_problem(response):
    assert response["Content-Type"] == "application/problem+json", response.content
    document = json.loads(response.content)
    assert document.keys() >= MEMBERS
    assert document["status"] == response.status_code
    assert document["requestId"] == response["X-Request-ID"]
    assert document["remedy"]
    return document


class TestAProgram:
    @pytest.mark.parametrize("path", ["/api/no/such", "/api/", "/api/probe/nothing", "/api"])
    @pytest.mark.parametrize("debug", [True, False])
    def test_gets_a_404_for_what_does_not_exist(self, client, settings, path, debug):
        settings.DEBUG = debug

        response = client.get(path)

        assert the_problem(response)["code"] == "http.not_found"
        assert response.status_code == 404

    def test_gets_a_405_that_names_the_methods(self, client):
        response = client.delete("/api/probe/mine")

        assert the_problem(response)["code"] == "http.method_not_allowed"
        assert {part.strip() for part in response["Allow"].split(",")} == {"GET", "POST"}

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"{", "half a document"),
            (b"\xff\xfe{}", "no UTF-8"),
            (b'{"fileUrl": "a", "totalPoints": NaN}', "NaN"),
            (b'{"fileUrl": "a\\u0000b", "totalPoints": 1}', "NUL"),
            (b'{"fileUrl": "\\ud800", "totalPoints": 1}', "half a surrogate pair"),
            (b'{"fileUrl": "a", "totalPoints": 1, "\xed\xa0\x80": 1}', "the same in bytes"),
            (b"[" * 100_000, "depth"),
        ],
    )
    def test_gets_a_400_for_a_body_that_is_no_json(self, client, body, why):
        response = client.post("/api/probe/echo", body, content_type="application/json")

        assert response.status_code == 400, why
        assert the_problem(response)["code"] == "request.body_unreadable"

    def test_gets_a_400_for_a_parameter_that_no_store_can_keep(self, client):
        response = client.get("/api/probe/page?pageSize=%00")

        assert response.status_code == 400
        the_problem(response)

    def test_gets_a_422_that_says_where_and_never_repeats_the_value(self, client):
        body = {"fileUrl": ["hunter2"], "password": {"is": "hunter2"}}

        response = client.post("/api/probe/echo", body, content_type="application/json")

        document = the_problem(response)
        assert response.status_code == 422
        assert [fault["location"] for fault in document["errors"]] == [
            ["body", "fileUrl"],
            ["body", "totalPoints"],
            ["body", "password"],
        ]
        assert "totalPoints" in document["detail"]
        assert "hunter2" not in response.content.decode()

    def test_gets_a_413_for_a_body_without_measure(self, client, settings):
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10

        response = client.post("/api/probe/echo", {"fileUrl": "a" * 20}, "application/json")

        assert response.status_code == 413
        the_problem(response)

    def test_gets_what_was_raised_on_purpose(self, client):
        response = client.get("/api/probe/fail/on-purpose")

        document = the_problem(response)
        assert response.status_code == 409
        assert document["code"] == "probe.spilled"
        assert document["type"] == "urn:problem-type:polystore:probe.spilled"
        assert document["detail"] == "The milk is spilled."
        assert document["spilledMl"] == 250
        assert document["instance"] == "/api/probe/fail/on-purpose"
        assert response["Retry-After"] == "7"

    @pytest.mark.parametrize(
        ("how", "status"), [("missing", 404), ("denied", 403), ("suspicious", 400), ("bug", 500)]
    )
    @pytest.mark.parametrize("debug", [True, False])
    def test_learns_nothing_about_the_inside(self, client, settings, how, status, debug):
        settings.DEBUG = debug

        response = client.get(f"/api/probe/fail/{how}")

        the_problem(response)
        assert response.status_code == status
        assert "secret reason" not in response.content.decode()

    @pytest.mark.parametrize(
        ("sqlstate", "code"),
        [
            ("", "databases.unavailable"),
            ("57P01", "databases.unavailable"),
            ("57014", "databases.too_slow"),
            ("40P01", "databases.busy"),
            ("55P03", "databases.busy"),
        ],
    )
    def test_gets_a_503_when_a_database_does_not_serve(self, client, sqlstate, code):
        response = client.get(f"/api/probe/fail/sqlstate-{sqlstate}")

        assert response.status_code == 503
        assert the_problem(response)["code"] == code
        assert int(response["Retry-After"]) >= 1
        assert "db.internal" not in response.content.decode()

    def test_gets_a_400_for_a_host_that_is_not_ours(self, client):
        response = client.get("/api/probe/open", headers={"host": "evil.example"})

        assert response.status_code == 400
        the_problem(response)


class TestAPerson:
    def test_gets_a_page_when_a_database_does_not_serve(self, client):
        response = client.get("/page/fail/sqlstate-57P01")

        assert response.status_code == 503
        assert response["Retry-After"] == "2"
        assert response["Content-Type"].startswith("text/html")
        assert "recovers by itself" in response.content.decode()
        assert "db.internal" not in response.content.decode()

    def test_gets_a_page_for_what_was_raised_on_purpose(self, client):
        response = client.get("/page/fail/on-purpose")

        assert response.status_code == 409
        assert "Mop up." in response.content.decode()

    @pytest.mark.parametrize(
        ("how", "status"), [("missing", 404), ("denied", 403), ("suspicious", 400), ("bug", 500)]
    )
    def test_gets_a_page_of_ours_for_every_other_failure(self, client, how, status):
        response = client.get(f"/page/fail/{how}")

        page = response.content.decode()
        assert response.status_code == status
        assert '<meta name="viewport"' in page
        assert "secret reason" not in page

    def test_is_kept_out_of_a_guarded_page(self, client, db):
        assert client.get("/page/guarded").status_code == 401


@pytest.mark.django_db(databases=["default"])
def test_a_statement_that_is_too_slow_is_a_503_and_not_a_bug(client):
    response = client.get("/page/slow")

    assert response.status_code == 503
    assert response["Retry-After"] == "5"


@pytest.mark.parametrize("path", ["/health", "/metrics"])
def test_addresses_for_programs_outside_the_api_answer_problems_too(client, db, path):
    assert the_problem(client.delete(path))["code"] == "http.method_not_allowed"
