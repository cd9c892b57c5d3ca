"""The site as it ships, whose `POST /api/todos` can also be asked to do without the outbox.

For gunicorn. The header `X-Way` of a request names what happens to its todo: `outbox` (what ships),
`without` (PostgreSQL alone), `inline` (MongoDB is written within the request, as durably as the
outbox does it). All three run in the same processes, so that they can take turns.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import cache
from typing import Any, Final

from pymongo import MongoClient, WriteConcern
from pymongo.collection import Collection

from config.wsgi import application as site  # the first: it sets Django up
from outbox.recording import record_event
from tracker.models import Todo
from tracker.services import todos

Document = dict[str, Any]

OUTBOX: Final = "outbox"
WITHOUT: Final = "without"
INLINE: Final = "inline"
COLLECTION: Final = "bench_todos"

FIELDS: Final = (
    "title", "notes", "priority", "tags", "points", "done", "completed_at", "created_at",
    "updated_at",
)  # fmt: skip

_way: ContextVar[str] = ContextVar("way", default=OUTBOX)
_create = todos.create_todo


@cache
def collection() -> Collection[Document]:
    """Return where the rival stores todos, with the write concern that ours has."""
    client: MongoClient[Document] = MongoClient(os.environ["MONGO_URL"])
    return client.get_default_database("polystore").get_collection(
        COLLECTION, write_concern=WriteConcern("majority", j=True)
    )


def record_or_not(**event: Any) -> None:
    """Record the event where the request asks for it."""
    if _way.get() == OUTBOX:
        record_event(**event)


def create_and_store(**values: Any) -> Todo:
    """Make a todo and, where the request asks for it, write its document at once."""
    todo = _create(**values)
    if _way.get() == INLINE:
        key = {"_id": str(todo.pk)}
        due = todo.due_on and todo.due_on.isoformat()
        others = {"user_id": str(todo.user_id), "due_on": due}
        document = key | others | {name: getattr(todo, name) for name in FIELDS}
        collection().replace_one(key, document, upsert=True)
    return todo


vars(todos)["record_event"] = record_or_not
todos.create_todo = create_and_store


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve a request the way that it asks for."""
    token = _way.set(environ.get("HTTP_X_WAY", OUTBOX))
    try:
        answer: Iterable[bytes] = site(environ, start_response)
        return answer
    finally:
        _way.reset(token)
