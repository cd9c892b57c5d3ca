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

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.base")
django.setup()

from pymongo import MongoClient, WriteConcern
from pymongo.collection import Collection

from config.wsgi import application as site
from tracker.models import Todo
from tracker.projections import _todo as document_of
from tracker.services import todos

Document = dict[str, Any]

OUTBOX: Final = "outbox"
WITHOUT: Final = "without"
INLINE: Final = "inline"
COLLECTION: Final = "bench_todos"

_way: ContextVar[str] = ContextVar("way", default=OUTBOX)
_record, _create = todos.record_event, todos.create_todo


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
        _record(**event)


def create_and_store(**values: Any) -> Todo:
    """Make a todo and, where the request asks for it, write its document at once."""
    todo = _create(**values)
    if _way.get() == INLINE:
        key = str(todo.pk)
        collection().replace_one({"_id": key}, {"_id": key, **document_of(todo)}, upsert=True)
    return todo


todos.record_event = record_or_not
todos.create_todo = create_and_store


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve a request the way that it asks for."""
    token = _way.set(environ.get("HTTP_X_WAY", OUTBOX))
    try:
        answer: Iterable[bytes] = site(environ, start_response)
        return answer
    finally:
        _way.reset(token)
