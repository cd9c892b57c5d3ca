"""Every operation of the tracker, as the owner, a friend, a stranger and nobody."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any, Final

import pytest

from config.api import api
from tests.homes import databases_of
from tests.tracker.world import Caller, somebody
from tracker.models import DailyReport, Timer, Todo

pytestmark = pytest.mark.django_db(databases=databases_of("tracker"))

DAY: Final = "2026-03-18"
SECRET: Final = "of Ann and nobody else"
ROLES: Final = ("owner", "friend", "stranger")
PATHS: Final = re.compile(r"^/api/(todos|timers|friends|reports|users/(leaderboard|search))")
REPORT: Final = {"hours": 1, "notes": SECRET}

MATRIX: Final[dict[str, tuple[Any, int, int, int]]] = {
    # operation: body, and what the owner, a friend and a stranger get; nobody gets 401
    "GET /api/todos": (None, 200, 200, 200),
    "POST /api/todos": ({"title": "x"}, 201, 201, 201),
    "GET /api/todos/{todo_id}": (None, 200, 404, 404),
    "PATCH /api/todos/{todo_id}": ({"done": True}, 200, 404, 404),
    "DELETE /api/todos/{todo_id}": (None, 204, 404, 404),
    "GET /api/timers": (None, 200, 200, 200),
    "POST /api/timers": ({}, 409, 201, 201),  # one of the owner's runs already
    "GET /api/timers/{timer_id}": (None, 200, 404, 404),
    "POST /api/timers/{timer_id}/pause": (None, 200, 404, 404),
    "POST /api/timers/{timer_id}/resume": (None, 409, 404, 404),
    "POST /api/timers/{timer_id}/stop": (None, 200, 404, 404),
    "DELETE /api/timers/{timer_id}": (None, 204, 404, 404),
    "GET /api/friends": (None, 200, 200, 200),
    "GET /api/friends/{person_id}": (None, 200, 200, 404),
    "POST /api/friends/{person_id}/request": (None, 409, 409, 200),
    "POST /api/friends/{person_id}/accept": (None, 409, 409, 404),
    "POST /api/friends/{person_id}/decline": (None, 409, 409, 404),
    "POST /api/friends/{person_id}/block": (None, 200, 200, 200),
    "DELETE /api/friends/{person_id}": (None, 204, 204, 404),
    "GET /api/reports/daily": (None, 200, 200, 200),
    "GET /api/reports/daily/{day}": (None, 200, 404, 404),
    "PUT /api/reports/daily/{day}": (REPORT, 200, 201, 201),
    "DELETE /api/reports/daily/{day}": (None, 204, 404, 404),
    "GET /api/reports/analytics": (None, 200, 200, 200),
    "GET /api/users/leaderboard": (None, 200, 200, 200),
    "GET /api/users/search": (None, 200, 200, 200),
}
"""A friend sees no more of the owner's than a stranger, but that they are friends."""


def operations() -> set[str]:
    """Return every operation of the tracker, as the API's own document has them."""
    return {
        f"{method.upper()} {path}"
        for path, methods in api.get_openapi_schema()["paths"].items()
        if PATHS.match(path)
        for method in methods
    }


def test_the_matrix_leaves_no_operation_out() -> None:
    assert set(MATRIX) == operations()


def of(user: Any) -> list[Any]:
    """Return what only this user may see or change."""
    return [
        *Todo.objects.filter(user_id=user.pk).values(),
        *Timer.objects.filter(user_id=user.pk).values(),
        *DailyReport.objects.filter(user_id=user.pk).values(),
    ]


@pytest.fixture
def anns(as_ann, as_ben, ann, ben) -> dict[str, str]:
    """Make something of each kind, and Ben a friend; return what stands in the paths."""
    as_ann("PUT", f"/api/reports/daily/{DAY}", REPORT)
    as_ann("POST", f"/api/friends/{ben.pk}/request")
    assert as_ben("POST", f"/api/friends/{ann.pk}/accept").status_code == 200
    return {
        "todo_id": as_ann("POST", "/api/todos", {"title": SECRET}).json()["id"],
        "timer_id": as_ann("POST", "/api/timers", {"label": SECRET}).json()["id"],
        "day": DAY,
        "person_id": str(ann.pk),
    }


def test_nobody_is_asked_to_sign_in(anns) -> None:
    answers = {}
    for operation, (body, *_) in MATRIX.items():
        method, _, path = operation.partition(" ")
        answer = Caller(None)(method, path.format(**anns), body)
        answers[operation] = (answer.status_code, answer.json()["code"])

    assert answers == dict.fromkeys(MATRIX, (401, "access.sign_in_needed"))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("operation", MATRIX)
def test_each_operation_does_what_the_matrix_says(operation, role, anns, as_ann, as_ben) -> None:
    body, *statuses = MATRIX[operation]
    expected = dict(zip(ROLES, statuses, strict=True))[role]
    caller = {"owner": as_ann, "friend": as_ben}.get(role) or Caller(somebody("Stranger"))
    if role == "owner":
        anns |= {"person_id": str(as_ben.user.pk)}
    method, _, path = operation.partition(" ")
    query = {"q": "archer"} if path.endswith("search") else {}
    before = of(as_ann.user)

    answer = caller(method, path.format(**anns), body, **query)

    assert answer.status_code == expected
    assert answer["Cache-Control"] == "no-store"
    if role == "owner":
        return
    assert of(as_ann.user) == before
    if body != REPORT:  # that one is the caller's own
        assert SECRET not in answer.content.decode()
    if expected >= 400:
        assert answer["Content-Type"] == "application/problem+json"
        assert json.loads(answer.content)["code"].startswith("tracker.")


def test_a_day_of_the_owners_is_not_a_day_of_others(as_ann, as_ben, anns) -> None:
    """The address of a report holds no id: each sees their own behind it."""
    as_ben("PUT", f"/api/reports/daily/{DAY}", {"hours": 9})

    hours = {caller("GET", f"/api/reports/daily/{DAY}").json()["hours"]
             for caller in (as_ann, as_ben)}  # fmt: skip
    assert hours == {1.0, 9.0}
    assert dt.date.fromisoformat(DAY) in DailyReport.objects.values_list("day", flat=True)
