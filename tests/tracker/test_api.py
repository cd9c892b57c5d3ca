"""The API does what it says, for whom it says."""

from __future__ import annotations

import json
import uuid

import pytest
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from tests.homes import databases_of
from tests.tracker.world import Caller, at_once, somebody
from tracker.models import Friendship, Standing, Timer, Todo

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("tracker"))


def made(answer, status=201):
    assert answer.status_code == status, answer.content
    return answer.json()


class TestTodos:
    def test_one_is_made_read_changed_and_deleted(self, as_ann) -> None:
        body = {
            "title": "  Write ", "notes": "soon", "dueOn": "2026-04-01", "priority": "high",
            "tags": ["Home"], "points": 25,
        }  # fmt: skip
        todo = made(as_ann("POST", "/api/todos", body))
        path = f"/api/todos/{todo['id']}"
        assert todo["title"] == "Write"
        assert (todo["dueOn"], todo["tags"], todo["done"]) == ("2026-04-01", ["home"], False)
        assert uuid.UUID(todo["id"]).version == 7
        assert as_ann("GET", path).json() == todo

        changed = made(as_ann("PATCH", path, {"done": True, "dueOn": None}), 200)
        assert (changed["done"], changed["dueOn"], changed["notes"]) == (True, None, "soon")
        assert Standing.objects.get().total_points == 25

        assert as_ann("DELETE", path).status_code == 204
        assert as_ann("GET", path).json()["code"] == "tracker.todo_not_found"
        assert Standing.objects.get().total_points == 0

    def test_lists_are_filtered(self, as_ann) -> None:
        for number, day in enumerate(["2026-04-01", "2026-04-02", "2026-04-03", None]):
            body = {"title": str(number), "dueOn": day, "tags": ["odd"] if number % 2 else []}
            made(as_ann("POST", "/api/todos", body | {"priority": "low" if number else "urgent"}))
        first = as_ann("GET", "/api/todos").json()["items"][-1]["id"]
        as_ann("PATCH", f"/api/todos/{first}", {"done": True})

        def titles(**query) -> list[str]:
            return [
                todo["title"] for todo in made(as_ann("GET", "/api/todos", **query), 200)["items"]
            ]

        assert titles() == ["3", "2", "1", "0"]
        assert titles(done="true") == ["0"]
        assert titles(done="false", tag="ODD") == ["3", "1"]
        assert titles(priority="urgent") == ["0"]
        assert titles(dueBefore="2026-04-03", dueAfter="2026-04-01") == ["1"]

    def test_pages_lose_and_repeat_nothing_while_rows_come(self, as_ann) -> None:
        for number in range(7):
            made(as_ann("POST", "/api/todos", {"title": str(number)}))
        page = as_ann("GET", "/api/todos", limit=3).json()
        seen = [todo["title"] for todo in page["items"]]
        while page["next"]:
            made(as_ann("POST", "/api/todos", {"title": "new"}))
            page = as_ann("GET", "/api/todos", limit=3, cursor=page["next"]).json()
            seen += [todo["title"] for todo in page["items"]]

        assert seen == ["6", "5", "4", "3", "2", "1", "0"]
        back = as_ann("GET", "/api/todos", limit=3, cursor=page["previous"]).json()
        assert [todo["title"] for todo in back["items"]] == ["3", "2", "1"]

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"title": " "},
            {"title": "x" * 201},
            {"title": "x", "points": 1_001},
            {"title": "x", "points": "5"},
            {"title": "x", "priority": "huge"},
            {"title": "x", "dueOn": "soon"},
            {"title": "x", "dueOn": 0},
            {"title": "x", "dueOn": "1700000000"},
            {"title": "x", "tags": ["y"] * 21},
            {"title": "x", "tags": [""]},
        ],
    )
    def test_what_is_wrong_is_listed(self, as_ann, body) -> None:
        problem = made(as_ann("POST", "/api/todos", body), 422)

        assert problem["code"] == "request.invalid"
        assert problem["errors"][0]["location"][0] == "body"
        assert not Todo.objects.exists()

    @pytest.mark.parametrize("body", ["x", [], [1], 5, None])
    def test_a_body_that_is_no_object_makes_and_changes_nothing(self, as_ann, body) -> None:
        todo = made(as_ann("POST", "/api/todos", {"title": "kept"}))
        path = f"/api/todos/{todo['id']}"

        for method, where in (("POST", "/api/todos"), ("PATCH", path), ("POST", "/api/timers")):
            sent = json.dumps(body).encode()
            answer = as_ann.client.generic(method, where, sent, "application/json")
            assert made(answer, 422)["code"] == "request.invalid"
        assert [row["title"] for row in as_ann("GET", "/api/todos").json()["items"]] == ["kept"]
        assert not Timer.objects.exists()

    def test_a_change_to_nothing_is_refused(self, as_ann) -> None:
        todo = made(as_ann("POST", "/api/todos", {"title": "x"}))

        assert made(as_ann("PATCH", f"/api/todos/{todo['id']}", {"title": None}), 422)
        assert made(as_ann("PATCH", f"/api/todos/{todo['id']}", {}), 200) == todo


def test_a_timer_runs_pauses_and_stops(as_ann) -> None:
    timer = made(as_ann("POST", "/api/timers", {"label": "work"}))
    path = f"/api/timers/{timer['id']}"
    assert made(as_ann("POST", "/api/timers", {}), 409)["runningId"] == timer["id"]
    assert made(as_ann("POST", f"{path}/resume"), 409)["code"] == "tracker.timer_refused"
    states = [
        made(as_ann("POST", f"{path}/{verb}"), 200)["state"] for verb in ("pause", "resume", "stop")
    ]

    assert states == ["paused", "running", "stopped"]
    assert as_ann("GET", path).json()["totalSeconds"] >= 0
    assert [t["id"] for t in as_ann("GET", "/api/timers", state="stopped").json()["items"]] == [
        timer["id"]
    ]
    assert as_ann("DELETE", path).status_code == 204


def test_friends_are_asked_listed_and_left(as_ann, as_ben, ann, ben) -> None:
    asked = made(as_ann("POST", f"/api/friends/{ben.pk}/request"), 200)
    assert (asked["name"], asked["status"], asked["askedByMe"]) == ("Ben Baker", "pending", True)
    assert made(as_ben("POST", f"/api/friends/{ann.pk}/accept"), 200)["status"] == "accepted"
    (friend,) = as_ann("GET", "/api/friends", status="accepted").json()["items"]
    assert friend["personId"] == str(ben.pk)
    assert as_ben("GET", f"/api/friends/{ann.pk}").json()["status"] == "accepted"
    assert as_ann("DELETE", f"/api/friends/{ben.pk}").status_code == 204

    assert made(as_ben("POST", f"/api/friends/{ann.pk}/block"), 200)["status"] == "blocked"
    assert (
        made(as_ann("POST", f"/api/friends/{ben.pk}/request"), 404)["code"]
        == "tracker.person_not_found"
    )
    assert as_ann("GET", "/api/friends").json()["items"] == []
    assert as_ann("GET", f"/api/friends/{ben.pk}").status_code == 404


def test_a_report_is_filed_once_per_day(as_ann) -> None:
    path = "/api/reports/daily/2026-03-18"
    assert as_ann("GET", path).status_code == 404
    first = made(as_ann("PUT", path, {"hours": 7.5, "mood": 4}))
    second = made(as_ann("PUT", path, {"hours": 8}), 200)

    assert (first["hours"], second["hours"], second["mood"]) == (7.5, 8.0, None)
    assert first["id"] == second["id"]
    assert (
        made(as_ann("PUT", "/api/reports/daily/9999-12-31", {"hours": 1}), 422)["code"]
        == "tracker.day_refused"
    )
    assert made(as_ann("GET", "/api/reports/daily/0"), 422)["code"] == "request.invalid"
    for wrong in ({"hours": 24.5}, {"hours": 1.125}, {"hours": 1, "mood": 6}, {"hours": -1}):
        assert made(as_ann("PUT", path, wrong), 422)
    listed = as_ann("GET", "/api/reports/daily", **{"from": "2026-03-01", "to": "2026-03-31"})
    assert [report["day"] for report in listed.json()["items"]] == ["2026-03-18"]
    assert as_ann("DELETE", path).status_code == 204


@pytest.mark.parametrize("verb", ["accept", "decline"])
def test_a_stranger_answers_no_request_of_others(ann, ben, as_ann, verb) -> None:
    as_ann("POST", f"/api/friends/{ben.pk}/request")
    stranger = Caller(somebody("Stranger"))

    for other in (ann, ben):
        assert stranger("POST", f"/api/friends/{other.pk}/{verb}").status_code == 404
    assert Friendship.objects.get().status == "pending"


class TestTheIdempotencyKey:
    def test_the_same_request_again_gets_the_first_answer(self, as_ann) -> None:
        first = as_ann("POST", "/api/todos", {"title": "x"}, key="k-1")
        as_ann("PATCH", f"/api/todos/{first.json()['id']}", {"title": "changed"})
        again = as_ann("POST", "/api/todos", {"title": "x"}, key="k-1")

        assert (again.status_code, again.json()) == (201, first.json())
        assert again["Idempotency-Replayed"] == "true"
        assert "Idempotency-Replayed" not in first
        assert Todo.objects.count() == 1

    def test_another_body_or_operation_with_it_is_refused(self, as_ann, ben) -> None:
        as_ann("POST", "/api/todos", {"title": "x"}, key="k")

        for method, path, body in [
            ("POST", "/api/todos", {"title": "y"}),
            ("POST", "/api/timers", {"label": "x"}),
            ("POST", f"/api/friends/{ben.pk}/request", None),
        ]:
            refused = made(as_ann(method, path, body, key="k"), 422)
            assert refused["code"] == "tracker.idempotency_key_reused"
        assert not Timer.objects.exists()

    def test_it_belongs_to_one_user(self, as_ann, as_ben) -> None:
        ids = {
            made(caller("POST", "/api/todos", {"title": "x"}, key="k"))["id"]
            for caller in (as_ann, as_ben)
        }

        assert len(ids) == 2

    def test_two_at_once_make_one_row_and_get_one_answer(self, as_ann, ann) -> None:
        callers = [Caller(ann) for _ in range(4)]

        answers = at_once(
            *[lambda c=c: c("POST", "/api/todos", {"title": "x"}, key="k") for c in callers]
        )

        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.content for answer in answers}) == 1
        assert Todo.objects.count() == 1

    def test_what_was_refused_may_be_tried_again(self, as_ann) -> None:
        timer = made(as_ann("POST", "/api/timers", {}))
        assert made(as_ann("POST", "/api/timers", {}, key="k"), 409)
        as_ann("POST", f"/api/timers/{timer['id']}/stop", key="stop")

        assert made(as_ann("POST", "/api/timers", {}, key="k"))["id"] != timer["id"]
        again = as_ann("POST", f"/api/timers/{timer['id']}/stop", key="stop")
        assert (again.status_code, again.json()["state"]) == (200, "stopped")

    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            (MULTIPART_CONTENT, encode_multipart(BOUNDARY, {"a": "b"})),
            ("application/json", b"{"),
            ("application/json", b"[" * 100_000),
            ("application/json", b"[" * 900 + b"]" * 900),
        ],
        ids=["a form", "half an object", "no end", "deep"],
    )
    def test_an_operation_without_a_body_ignores_what_is_sent(
        self, as_ann, ann, content_type, body
    ) -> None:
        timer = made(as_ann("POST", "/api/timers", {}))
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(ann)
        browser.get("/api/docs")  # a page of ours, which sets the token
        token = browser.cookies["csrftoken"].value

        answers = [
            browser.generic(
                "POST",
                f"/api/timers/{timer['id']}/pause",
                body,
                content_type,
                headers={"Idempotency-Key": "k", "X-CSRFToken": token},
            )
            for _ in range(2)
        ]

        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[1]["Idempotency-Replayed"] == "true"

    @pytest.mark.parametrize("key", ["", "k" * 201])
    def test_an_empty_or_endless_one_is_refused(self, as_ann, key) -> None:
        assert made(as_ann("POST", "/api/todos", {"title": "x"}, key=key), 422)
