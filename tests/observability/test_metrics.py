"""/metrics says what was counted, to staff and to the collector only."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from accounts.models import User
from common import metrics
from tests.homes import databases_of

TOKEN = "a-token-for-the-collector"

pytestmark = [
    pytest.mark.urls("tests.api.urls"),
    pytest.mark.django_db(databases=databases_of("caches")),
]


@pytest.fixture
def collected(client, settings):
    """Return a function that gives every sample as {(name, labels): value}."""
    settings.METRICS_TOKEN = TOKEN

    def collect():
        response = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
        assert response.status_code == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(response.content.decode())
            for sample in family.samples
        }

    return collect


def of(samples, name, **labels):
    return samples.get((name, frozenset(labels.items())), 0)


class TestAccess:
    def test_a_stranger_is_turned_away(self, client):
        response = client.get("/metrics")

        assert response.status_code == 401
        assert response["Content-Type"] == "application/problem+json"

    @pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "é"])
    def test_a_wrong_token_is_turned_away(self, client, settings, token):
        settings.METRICS_TOKEN = TOKEN

        response = client.get("/metrics", headers={"authorization": f"Bearer {token}"})

        assert response.status_code == 401

    def test_a_member_is_turned_away(self, client):
        client.force_login(User.objects.create_user(email="member@example.org"))

        assert client.get("/metrics").status_code == 403

    def test_staff_may_look(self, client):
        client.force_login(User.objects.create_user(email="staff@example.org", is_staff=True))

        response = client.get("/metrics")

        assert response.status_code == 200
        assert response["Content-Type"].startswith("text/plain")


def test_answers_are_counted_by_route_method_and_status(client, collected):
    labels = {"route": "api/probe/fail/<how>", "method": "GET"}
    before = collected()

    client.get("/api/probe/fail/on-purpose")
    client.get("/api/probe/fail/missing")

    after = collected()
    for status in ("409", "404"):
        count = "polystore_http_requests_total"
        assert of(after, count, **labels, status=status) == (
            of(before, count, **labels, status=status) + 1
        )
    seconds = "polystore_http_request_seconds_count"
    assert of(after, seconds, **labels) == of(before, seconds, **labels) + 2


def test_made_up_paths_and_methods_make_no_new_series(client, collected):
    client.get("/made/up/1")
    client.get("/made/up/2")
    client.generic("BREW", "/made/up/3")

    routes = {dict(labels).get("route") for _, labels in collected()}
    methods = {dict(labels).get("method") for _, labels in collected()}
    assert not [route for route in routes if route and "made" in route]
    assert "BREW" not in methods


def test_queries_are_counted_by_alias(collected):
    before = collected()

    metrics.observe_query("analytics", 0.02)
    metrics.observe_query("analytics", 0.5, failed=True)

    after = collected()
    for name, more in [
        ("polystore_db_query_seconds_count", 2),
        ("polystore_db_query_errors_total", 1),
    ]:
        grown = of(after, name, alias="analytics") - of(before, name, alias="analytics")
        assert grown == more


def test_pools_show_what_they_hold(collected):
    User.objects.count()

    samples = collected()
    assert of(samples, "polystore_db_pool_connections", alias="default") >= 1
    assert of(samples, "polystore_db_pool_limit", alias="default") >= 1
    assert ("polystore_db_pool_waiting", frozenset({("alias", "default")})) in samples
