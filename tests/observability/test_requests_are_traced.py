"""Every request has an id and a trace, which its answer and its one log line name."""

from __future__ import annotations

import logging
import re

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client

from common.tracing import current

pytestmark = pytest.mark.urls("tests.api.urls")

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.fixture
def lines(caplog):
    """Return a function that gives the access lines written so far."""
    caplog.set_level(logging.DEBUG, logger="polystore.access")
    return lambda: [record for record in caplog.records if record.name == "polystore.access"]


def get(kind, path, **headers):
    if kind == "wsgi":
        return Client(raise_request_exception=False).get(path, headers=headers)
    return async_to_sync(AsyncClient(raise_request_exception=False).get)(path, headers=headers)


@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
class TestTheAnswer:
    def test_repeats_a_good_request_id(self, kind):
        response = get(kind, "/api/probe/fail/on-purpose", **{"x-request-id": "abc-1"})

        assert response["X-Request-ID"] == "abc-1"
        assert response.json()["requestId"] == "abc-1"

    def test_replaces_a_bad_one(self, kind):
        response = get(kind, "/api/probe/nowhere", **{"x-request-id": "<script>"})

        assert re.fullmatch(r"[0-9a-f]{32}", response["X-Request-ID"])

    def test_continues_the_callers_trace(self, kind):
        response = get(kind, "/api/probe/page", traceparent=f"00-{TRACE}-{SPAN}-01")

        version, trace_id, span_id, flags = response["traceresponse"].split("-")
        assert (version, trace_id, flags) == ("00", TRACE, "01")
        assert span_id != SPAN

    def test_leaves_nothing_behind_for_the_next_request(self, kind):
        get(kind, "/api/probe/page")

        assert current() is None


class TestTheAccessLine:
    def test_names_the_pattern_and_neither_ids_nor_the_query(self, client, lines):
        client.get("/api/probe/fail/on-purpose?email=a@example.org")

        (line,) = lines()
        assert line.route == "api/probe/fail/<how>"
        assert (line.method, line.status) == ("GET", 409)
        assert line.ms >= 0
        assert "on-purpose" not in str(vars(line))
        assert "example.org" not in str(vars(line))

    def test_is_written_for_failures_too(self, lines):
        Client(raise_request_exception=False).get("/page/fail/bug")

        assert [line.status for line in lines()] == [500]

    def test_gives_what_matched_nothing_one_name(self, client, lines):
        client.get("/secret-of-somebody")

        (line,) = lines()
        assert line.route == "(none)"

    def test_of_a_probe_is_quiet(self, client, lines):
        client.get("/health")

        assert [line.levelno for line in lines()] == [logging.DEBUG]


def test_a_failure_is_logged_once_with_its_stack_and_its_request(caplog):
    client = Client(raise_request_exception=False)

    client.get("/api/probe/fail/bug", headers={"x-request-id": "abc-1"})

    failures = [record for record in caplog.records if record.exc_info]
    assert [record.getMessage() for record in failures] == ["api.operation.failed"]
