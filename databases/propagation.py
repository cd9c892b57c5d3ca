"""Let the causal state follow the tasks that a request sends, also through retries."""

from __future__ import annotations

from typing import Any

from celery.signals import (
    beat_init,
    before_task_publish,
    task_postrun,
    task_prerun,
    worker_process_init,
)
from django.db import connections

from databases import placement, process_state, read_totals
from databases.backend.wrapper import WatchedWrapper
from databases.causality import HEADER, CausalState, causal_scope, current
from databases.middleware import settle

HEADER_OF_TASKS = HEADER.lower().replace("-", "_")
_scopes: dict[str, Any] = {}


def connect() -> None:
    """Connect to Celery's signals; safe to call twice."""
    before_task_publish.connect(_send_token, dispatch_uid="databases.send_token")
    task_prerun.connect(_enter, dispatch_uid="databases.enter")
    task_postrun.connect(_leave, dispatch_uid="databases.leave")
    worker_process_init.connect(_begin_worker, dispatch_uid="databases.begin_worker")
    beat_init.connect(_begin_beat, dispatch_uid="databases.begin_beat")


def _send_token(headers: dict[str, Any] | None = None, **_kwargs: Any) -> None:
    state = current()
    if state is None or headers is None:
        return
    settle(state)
    sent = CausalState()
    sent.absorb(headers.get(HEADER_OF_TASKS))
    sent.absorb(state.token())
    if any(wrapper.wrote_in_transaction for wrapper in _open_wrappers()):
        # The position of a transaction that has not committed is not known: pin the task instead.
        sent.pin()
    if token := sent.token():
        headers[HEADER_OF_TASKS] = token


def _open_wrappers() -> list[WatchedWrapper]:
    return [
        wrapper
        for wrapper in connections.all(initialized_only=True)
        if isinstance(wrapper, WatchedWrapper)
    ]


def _enter(task_id: str = "", task: Any = None, **_kwargs: Any) -> None:
    process_state.keep_publishing("worker")
    state = CausalState()
    state.absorb(getattr(task.request, HEADER_OF_TASKS, None))
    scope = causal_scope(state)
    scope.__enter__()
    _scopes[task_id] = (scope, state)


def _leave(task_id: str = "", **_kwargs: Any) -> None:
    scope, state = _scopes.pop(task_id, (None, None))
    if scope is not None:
        scope.__exit__(None, None, None)
        read_totals.absorb(state)


def _begin_worker(**_kwargs: Any) -> None:
    placement.keep_refreshing()
    # Celery's own receiver closes the descriptors of open connections, thinking them the parent's:
    # whoever opens the next socket would share it with a connection that went back to its pool.
    connections.close_all()
    process_state.keep_publishing("worker")


def _begin_beat(**_kwargs: Any) -> None:
    process_state.keep_publishing("beat")
