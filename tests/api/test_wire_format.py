"""JSON is camelCase on the wire and snake_case in Python."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.urls("tests.api.urls")


@pytest.mark.parametrize(
    "body",
    [{"fileUrl": "a", "totalPoints": 3}, {"file_url": "a", "total_points": 3}],
    ids=["camelCase", "snake_case"],
)
def test_bodies_are_read_in_either_case_and_answers_written_in_camel_case(client, body):
    response = client.post("/api/probe/echo", body, content_type="application/json")

    assert response.json() == {"fileUrl": "a", "totalPoints": 3}


def test_parameters_and_nested_items_follow_the_same_rule(client):
    response = client.get("/api/probe/page?pageSize=4")

    assert response.json() == {
        "items": [{"fileUrl": "a", "totalPoints": 4}],
        "next": None,
        "previous": None,
    }
