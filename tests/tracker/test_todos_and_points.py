"""A completed todo gives its points once, on its day; opening or deleting takes them back."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outbox.models import OutboxEvent
from tests.homes import databases_of, refused_by_the_database
from tests.tracker.world import NOW, at_once, somebody
from tracker.models import LONGEST_TAG, PointsDay, Standing, Todo
from tracker.services import todos
from tracker.services.todos import TodoNotFound

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("tracker"))
DAY = dt.timedelta(days=1)


def a_todo(user, **fields):
    return todos.create_todo(user_id=user.pk, at=NOW, **{"title": "Write", **fields})


def change(user, todo, at=NOW, **changes):
    return todos.change_todo(user_id=user.pk, todo_id=todo.pk, changes=changes, at=at)


def total(user) -> int:
    return Standing.objects.get(user=user).total_points


def ledger(user) -> dict[dt.date, int]:
    return dict(PointsDay.objects.filter(user=user, points__gt=0).values_list("day", "points"))


def recorded(aggregate_type: str) -> list[str]:
    found = OutboxEvent.objects.filter(aggregate_type=aggregate_type).order_by("id")
    return list(found.values_list("type", flat=True))


def test_completing_gives_the_points_on_that_day_and_opening_takes_them_back_from_it(ann) -> None:
    todo = a_todo(ann, points=30)
    change(ann, todo, at=NOW, done=True)
    assert (total(ann), ledger(ann)) == (30, {NOW.date(): 30})

    change(ann, todo, at=NOW + 3 * DAY, done=False)
    assert (total(ann), ledger(ann)) == (0, {})


def test_completing_twice_gives_them_once_and_records_once(ann) -> None:
    todo = a_todo(ann)
    for day in range(3):
        change(ann, todo, at=NOW + day * DAY, done=True)

    assert total(ann) == 10
    assert recorded("todo") == ["todo.created", "todo.completed"]


def test_two_who_complete_it_at_once_give_its_points_once(ann) -> None:
    todo = a_todo(ann)

    done = at_once(*[lambda: change(ann, todo, done=True)] * 4)

    assert all(isinstance(one, Todo) for one in done), done
    assert (total(ann), ledger(ann)) == (10, {NOW.date(): 10})


def test_many_todos_completed_at_once_lose_no_points(ann) -> None:
    made = [a_todo(ann, points=number) for number in range(1, 7)]

    at_once(*[lambda todo=todo: change(ann, todo, done=True) for todo in made])

    assert total(ann) == sum(range(1, 7)) == ledger(ann)[NOW.date()]


def test_a_completed_todo_that_is_worth_more_changes_the_day_of_its_completion(ann) -> None:
    todo = a_todo(ann, done=True)

    change(ann, todo, at=NOW + DAY, points=25)

    assert ledger(ann) == {NOW.date(): 25}


def test_deleting_takes_the_points_back_and_a_trigger_records_it(ann) -> None:
    todo = a_todo(ann, done=True)

    todos.delete_todo(user_id=ann.pk, todo_id=todo.pk)

    assert (total(ann), ledger(ann)) == (0, {})
    assert recorded("todo") == ["todo.created", "todo.deleted"]
    assert recorded("user").count("user.points_changed") == 2


def test_rows_deleted_by_sql_or_with_their_user_are_recorded(ann, ben) -> None:
    gone, kept = a_todo(ann), a_todo(ben)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM tracker_todo WHERE id = %s", [gone.pk])
    ben.delete()

    deleted = OutboxEvent.objects.filter(type="todo.deleted").values_list("aggregate_id", flat=True)
    assert set(deleted) == {str(gone.pk), str(kept.pk)}


def test_somebody_elses_todo_is_not_found(ann, ben) -> None:
    todo = a_todo(ann)

    with pytest.raises(TodoNotFound):
        change(ben, todo, done=True)
    with pytest.raises(TodoNotFound):
        todos.delete_todo(user_id=ben.pk, todo_id=todo.pk)
    assert Todo.objects.get().completed_at is None


def test_tags_are_kept_in_small_letters_once_each(ann) -> None:
    assert a_todo(ann, tags=["Home", " home ", "", "Ökonomie"]).tags == ["home", "ökonomie"]


def test_a_tag_of_full_length_is_stored_whole_whatever_its_letters(ann, as_ann) -> None:
    longest = "İ" * LONGEST_TAG
    made = as_ann("POST", "/api/todos", {"title": "x", "tags": [longest]}).json()

    assert made["tags"] == ["i" * LONGEST_TAG]
    assert as_ann("GET", f"/api/todos/{made['id']}").json() == made
    assert as_ann("GET", "/api/todos", tag=longest).json()["items"] == [made]


def test_a_failure_leaves_neither_row_nor_points_nor_event(ann) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        a_todo(ann, done=True)
        raise RuntimeError

    assert not Todo.objects.exists()
    assert not Standing.objects.exists()
    assert recorded("todo") == []


def test_the_database_refuses_what_no_service_would_write(ann) -> None:
    with refused_by_the_database(Todo, "tracker_todo_title_given"):
        Todo.objects.create(user=ann, title="")
    with refused_by_the_database(Todo, "tracker_todo_points_bounded"):
        Todo.objects.create(user=ann, title="x", points=1_001)
    with pytest.raises(IntegrityError), transaction.atomic():
        Standing.objects.create(user=ann, total_points=-1)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["complete", "reopen", "points", "delete", "create"]),
        st.integers(0, 50),
        st.integers(0, 20),
    ),
    max_size=25,
)


@given(steps=STEPS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_points_are_always_the_sum_of_what_is_done(steps, ann) -> None:
    Todo.objects.all().delete()
    Standing.objects.all().delete()
    PointsDay.objects.all().delete()
    made = [a_todo(ann, points=number) for number in range(4)]
    for which, act, points, days in steps:
        at = NOW + days * DAY
        if act == "create":
            made.append(
                todos.create_todo(user_id=ann.pk, at=at, title="x", points=points, done=True)
            )
            continue
        changes = {"complete": {"done": True}, "reopen": {"done": False}}.get(
            act, {"points": points}
        )
        try:
            if act == "delete":
                todos.delete_todo(user_id=ann.pk, todo_id=made[which].pk)
            else:
                change(ann, made[which], at=at, **changes)
        except TodoNotFound:
            continue

    expected: dict[dt.date, int] = {}
    for todo in Todo.objects.done():
        day = todo.completed_at.date()
        expected[day] = expected.get(day, 0) + todo.points
    assert total(ann) == sum(expected.values())
    assert ledger(ann) == {day: points for day, points in expected.items() if points}


def test_events_of_one_user_are_recorded_in_the_order_of_the_commits(ann) -> None:
    """The ledger that the last event's reader sees is the last one, whoever was first."""
    made = [a_todo(ann, points=1) for _ in range(4)]
    at_once(*[lambda todo=todo: change(ann, todo, done=True) for todo in made])

    assert recorded("user").count("user.points_changed") == 4
    assert somebody("Later").pk != ann.pk
