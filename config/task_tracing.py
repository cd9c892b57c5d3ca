"""The request id and trace follow into tasks, their retries, and the tasks that they send."""

from __future__ import annotations

import logging
import time
from contextvars import Token
from dataclasses import dataclass
from typing import Any, Final

from celery import Task
from celery.signals import before_task_publish, task_failure, task_postrun, task_prerun, task_retry

from common import tracing
from common.tracing import Trace

logger = logging.getLogger("polystore.tasks")

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
REQUEST_ID: Final = "polystore_request_id"


@dataclass(frozen=True, slots=True)
class _Running:
    token: Token[Trace | None]
    since: float


_running: dict[str, _Running] = {}


@before_task_publish.connect(weak=False)
def send_trace_along(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Put the trace at work into the headers of the message."""
    trace = tracing.current()
    if trace is None or headers is None:
        return
    headers[REQUEST_ID] = trace.request_id
    headers[TRACEPARENT] = trace.traceparent
    if trace.tracestate:
        headers[TRACESTATE] = trace.tracestate


@task_prerun.connect(weak=False)
def take_trace_up(task_id: str, task: Task[Any, Any], **_: Any) -> None:
    """Continue the sender's trace, or begin one for a task that a schedule sent."""
    trace = tracing.begin(
        request_id=_header(task, REQUEST_ID),
        traceparent=_header(task, TRACEPARENT),
        tracestate=_header(task, TRACESTATE),
    )
    token = tracing.enter(tracing.in_task(trace, task_id=task_id))
    _running[task_id] = _Running(token, time.perf_counter())


@task_postrun.connect(weak=False)
def put_trace_down(task_id: str, task: Task[Any, Any], state: str | None = None, **_: Any) -> None:
    """Write one line about the task, without its arguments and its result, and forget its trace."""
    running = _running.pop(task_id, None)
    if running is None:
        return
    logger.info(
        "task.finished",
        extra={
            "task": task.name,
            "state": (state or "").lower(),
            "ms": round((time.perf_counter() - running.since) * 1000, 2),
            "retries": task.request.retries,
        },
    )
    tracing.leave(running.token)


@task_retry.connect(weak=False)
def say_retry(sender: Task[Any, Any], **_: Any) -> None:
    """Write that the task will be tried again."""
    logger.warning("task.retried", extra={"task": sender.name, "retries": sender.request.retries})


@task_failure.connect(weak=False)
def say_failure(sender: Task[Any, Any], exception: BaseException, **_: Any) -> None:
    """Write why the task failed, with its stack."""
    logger.error("task.failed", extra={"task": sender.name}, exc_info=exception)


def _header(task: Task[Any, Any], name: str) -> str:
    """Return a header of the message that brought this task, or ""."""
    value = (task.request.headers or {}).get(name) or getattr(task.request, name, None)
    return value if isinstance(value, str) else ""
