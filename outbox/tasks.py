"""What workers do for the outbox. No task carries data: to lose or repeat one is harmless."""

from __future__ import annotations

import mmap
import os
from typing import Any, Final

from celery import Task, shared_task
from celery.signals import worker_shutting_down

from outbox import queue, upkeep, watching
from outbox.delivery.lingering import linger
from outbox.delivery.once import deliverable_sinks
from outbox.wake import DRAIN, send_hint

_MAIN: Final = os.getpid()
"""The worker's main process: it imports this before it makes its children."""
_shutting_down: Final = mmap.mmap(-1, 1)
"""A byte that the worker's main process shares with its children: signals reach it alone."""


@worker_shutting_down.connect(weak=False)
def _tell_children(**_: Any) -> None:
    _shutting_down[0] = 1


@shared_task(name=DRAIN, acks_late=False, ignore_result=True, bind=True)
def drain(self: Task[Any, Any], /, sink: str, **_later_arguments: Any) -> None:
    """Deliver what waits for `sink`, and what comes in the next seconds."""
    if sink not in deliverable_sinks():
        return
    worker = f"{self.request.hostname}:{_MAIN}"
    _, left = linger(sink, worker=worker, stop=lambda: _shutting_down[0] != 0)
    if left:
        send_hint(sink)


@shared_task(name="outbox.sweep", acks_late=False, ignore_result=True)
def sweep(**_later_arguments: Any) -> None:
    """Have delivered what no hint told of: hints get lost, workers end, retries come due."""
    for sink in queue.sinks_to_wake():
        send_hint(sink)


@shared_task(name="outbox.watch", acks_late=False, ignore_result=True)
def watch(**_later_arguments: Any) -> None:
    """Tell operators of lag, a long queue, failures and slow answers; keep a sample a minute."""
    watching.watch()


@shared_task(name="outbox.prune", acks_late=False, ignore_result=True)
def prune(**_later_arguments: Any) -> None:
    """Delete dead letters and history that are older than OUTBOX_RETENTION_DAYS."""
    upkeep.prune()
