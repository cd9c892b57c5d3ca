"""With MongoDB gone, PostgreSQL answers the same and says so; writes go on and arrive later."""

from __future__ import annotations

import pytest

from databases.stores import mongo
from tests.homes import databases_of
from tests.tracker.world import Caller, deliver, documents, somebody
from tests.waiting import eventually

pytestmark = [
    pytest.mark.outage,
    pytest.mark.django_db(transaction=True, databases=databases_of("tracker")),
]
ASKED = ["users/leaderboard", "users/leaderboard?period=week", "users/leaderboard?period=friends",
         "users/search?q=archer", "reports/analytics"]  # fmt: skip


@pytest.mark.parametrize("how", ["stop", "pause"])
def test_reads_are_served_by_postgresql_and_writes_arrive_later(
    how, servers, mongodb, as_ann
) -> None:
    other = Caller(somebody("Otto", "Archer"))
    for caller in (as_ann, other):
        caller("POST", "/api/todos", {"title": "x", "done": True})
    deliver()
    before = [as_ann("GET", f"/api/{path}") for path in ASKED]
    assert not any("X-Degraded" in answer for answer in before)

    getattr(servers, how)("mongodb")
    during = [as_ann("GET", f"/api/{path}") for path in ASKED]
    again = [as_ann("GET", f"/api/{path}") for path in ASKED]
    pages = {as_ann("GET", f"/tracker/{path}").content.decode().count("stands in for it")
             for path in ("leaderboard", "search?q=archer", "analytics")}  # fmt: skip
    written = as_ann("POST", "/api/todos", {"title": "late"})

    for answers in (during, again):
        assert [answer.json() for answer in answers] == [answer.json() for answer in before]
        assert {answer["X-Degraded"] for answer in answers} == {"mongodb"}
    assert pages == {1}
    assert written.status_code == 201
    assert "X-Degraded" not in as_ann("GET", "/api/todos")

    {"stop": servers.start, "pause": getattr(servers, "resume", servers.start)}[how]("mongodb")
    eventually(lambda: not mongo.breaker().is_open)
    deliver()
    assert written.json()["id"] in documents("todos")
    assert "X-Degraded" not in as_ann("GET", "/api/users/leaderboard")
    assert "stands in for it" not in as_ann("GET", "/tracker/leaderboard").content.decode()
