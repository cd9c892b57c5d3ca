"""Todos over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router, Status

from common.access import signed_in, user_id_of
from common.pagination import KeysetPage
from common.schemas import Page
from tracker.api.caller import IdempotencyKey, answer_once
from tracker.models import Todo
from tracker.queries.own import TodoFilter, todo_of, todos_of
from tracker.schemas import TodoAnswer, TodoBody, TodoChange, TodosQuery
from tracker.services import todos
from tracker.services.todos import TodoNotFound

router = Router()


@router.get("", response=Page[TodoAnswer], summary="Your todos, the newest first")
@signed_in("tracker")
def list_todos(request: HttpRequest, asked: Query[TodosQuery]) -> KeysetPage[Todo]:
    """List the caller's todos."""
    which = TodoFilter(
        done=asked.done,
        tag=asked.tag,
        priority=asked.priority,
        due_before=asked.due_before,
        due_after=asked.due_after,
    )
    return todos_of(
        user_id=user_id_of(request), which=which, cursor=asked.cursor, limit=asked.limit
    )


@router.post("", response={201: TodoAnswer}, summary="Make a todo")
@signed_in("tracker")
def create_todo(
    request: HttpRequest, response: HttpResponse, body: TodoBody, key: IdempotencyKey = None
) -> Any:
    """Make a todo."""
    user_id = user_id_of(request)
    return Status(
        201,
        answer_once(
            request,
            response,
            key,
            lambda: todos.create_todo(
                user_id=user_id, at=timezone.now(), **body.model_dump(by_alias=False)
            ),
            TodoAnswer,
            takes_body=True,
        ),
    )


@router.get("/{uuid:todo_id}", response=TodoAnswer, summary="One of your todos")
@signed_in("tracker")
def get_todo(request: HttpRequest, todo_id: UUID) -> Todo:
    """Show a todo."""
    found = todo_of(user_id=user_id_of(request), todo_id=todo_id)
    if found is None:
        raise TodoNotFound("There is no todo of yours with this id.")
    return found


@router.patch("/{uuid:todo_id}", response=TodoAnswer, summary="Change, complete or open a todo")
@signed_in("tracker")
def change_todo(request: HttpRequest, todo_id: UUID, body: TodoChange) -> Todo:
    """Change the fields that are sent; completing gives the todo's points, once."""
    return todos.change_todo(
        user_id=user_id_of(request),
        todo_id=todo_id,
        changes=body.model_dump(by_alias=False, exclude_unset=True),
        at=timezone.now(),
    )


@router.delete("/{uuid:todo_id}", response={204: None}, summary="Delete a todo")
@signed_in("tracker")
def delete_todo(request: HttpRequest, todo_id: UUID) -> Status[None]:
    """Delete a todo and take back the points that it gave."""
    todos.delete_todo(user_id=user_id_of(request), todo_id=todo_id)
    return Status(204, None)
