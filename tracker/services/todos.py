"""Todos: made, changed, completed, deleted. Completing gives the points, once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from common.errors import PolystoreError
from databases.transactions import atomic_for
from outbox.events import MONGODB
from outbox.recording import record_event
from outbox.wake import hint_after_commit
from tracker.models import Todo, tidy_tag
from tracker.services.standing import add_points, to_milliseconds, touch, touch_for_points

CHANGEABLE: Final = frozenset({"title", "notes", "due_on", "priority", "tags", "points", "done"})
_COUNTS: Final = frozenset({"points", "done"})
"""What may change the user's points."""


class TodoNotFound(PolystoreError):
    """There is no such todo, or it is somebody else's."""

    code, status, title = "tracker.todo_not_found", 404, "No such todo"
    remedy = "List yours with GET /api/todos."


def create_todo(
    *,
    user_id: UUID,
    at: dt.datetime,
    title: str,
    notes: str = "",
    due_on: dt.date | None = None,
    priority: str = "normal",
    tags: list[str] | None = None,
    points: int = 10,
    done: bool = False,
) -> Todo:
    """Make a todo of this user and return it.

    :param done: it is completed already, and gives its points now.
    :param at: now.
    """
    at = to_milliseconds(at)
    with atomic_for("tracker"):
        (touch_for_points if done else touch)(user_id=user_id)
        todo = Todo.objects.create(
            user_id=user_id,
            title=title,
            notes=notes,
            due_on=due_on,
            priority=priority,
            tags=tidy_tags(tags or []),
            points=points,
            completed_at=at if done else None,
            created_at=at,
            updated_at=at,
        )
        record_event(aggregate_type="todo", aggregate_id=todo.pk, event_type="todo.created")
        if done:
            add_points(user_id=user_id, points=points, completed_at=at)
    return todo


def change_todo(
    *, user_id: UUID, todo_id: UUID, changes: Mapping[str, Any], at: dt.datetime
) -> Todo:
    """Change some fields of a todo and return it; what is the same already changes nothing.

    Completing gives its points on that day; opening it again takes them back from that day, and a
    completed todo that becomes worth more or less changes them there. To complete it twice, or at
    the same time from two places, gives them once.

    :param changes: any of `CHANGEABLE` with its new value.
    :param at: now.
    :raises TodoNotFound: also for somebody else's.
    :raises KeyError: for a field that is not changeable.
    """
    if unknown := changes.keys() - CHANGEABLE:
        raise KeyError(*unknown)
    at = to_milliseconds(at)
    with atomic_for("tracker"):
        if _COUNTS & changes.keys():
            touch_for_points(user_id=user_id)
        else:
            touch(user_id=user_id)
        todo = _locked(user_id=user_id, todo_id=todo_id)
        before = _worth(todo)
        verb = _apply(todo, changes, at=at)
        if verb:
            todo.updated_at = at
            todo.save()
            record_event(aggregate_type="todo", aggregate_id=todo.pk, event_type=f"todo.{verb}")
            _settle(todo, before)
    return todo


def complete_todo(*, user_id: UUID, todo_id: UUID, at: dt.datetime) -> Todo:
    """Complete a todo. Raises TodoNotFound."""
    return change_todo(user_id=user_id, todo_id=todo_id, changes={"done": True}, at=at)


def reopen_todo(*, user_id: UUID, todo_id: UUID, at: dt.datetime) -> Todo:
    """Open a todo again. Raises TodoNotFound."""
    return change_todo(user_id=user_id, todo_id=todo_id, changes={"done": False}, at=at)


def delete_todo(*, user_id: UUID, todo_id: UUID) -> None:
    """Delete a todo and take back what it gave; its own event comes from a trigger.

    :raises TodoNotFound: also for somebody else's.
    """
    with atomic_for("tracker"):
        touch_for_points(user_id=user_id)
        todo = _locked(user_id=user_id, todo_id=todo_id)
        before = _worth(todo)
        todo.delete()
        hint_after_commit(MONGODB)
        todo.completed_at = None
        _settle(todo, before)


def tidy_tags(tags: list[str]) -> list[str]:
    """Return the tags in small letters, each once, in the order given, without empty ones."""
    return list(dict.fromkeys(tag for given in tags if (tag := tidy_tag(given))))


def _locked(*, user_id: UUID, todo_id: UUID) -> Todo:
    todo = Todo.objects.of(user_id).filter(pk=todo_id).select_for_update().first()
    if todo is None:
        raise TodoNotFound("There is no todo of yours with this id.")
    return todo


def _apply(todo: Todo, changes: Mapping[str, Any], *, at: dt.datetime) -> str:
    """Set what differs; return the verb of the event, or "" where nothing did."""
    verb = ""
    for name, value in changes.items():
        if name == "done":
            continue
        new = tidy_tags(value) if name == "tags" else value
        if getattr(todo, name) != new:
            setattr(todo, name, new)
            verb = "updated"
    done = changes.get("done", todo.done)
    if done != todo.done:
        todo.completed_at = at if done else None
        verb = "completed" if done else "reopened"
    return verb


def _worth(todo: Todo) -> tuple[dt.datetime | None, int]:
    return todo.completed_at, todo.points if todo.completed_at else 0


def _settle(todo: Todo, before: tuple[dt.datetime | None, int]) -> None:
    """Give or take the difference between what the todo was worth before and what it is now."""
    (since, old), (until, new) = before, _worth(todo)
    if since is not None and since == until:
        add_points(user_id=todo.user_id, points=new - old, completed_at=since)
        return
    if since is not None:
        add_points(user_id=todo.user_id, points=-old, completed_at=since)
    if until is not None:
        add_points(user_id=todo.user_id, points=new, completed_at=until)
