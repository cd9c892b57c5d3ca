"""How fast a queue is drained: Celery workers as production runs them, and a clock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.db import connection, transaction
from pymongo.collection import Collection

from benchmarks import outbox_raw
from benchmarks.common import ROOT
from benchmarks.outbox_site import Document, fill, tidy, vacuum, waiting
from outbox.events import MONGODB
from outbox.wake import DRAIN, QUEUE, send_hint

LONGEST: Final = 300.0
BETWEEN_LOOKS: Final = 0.01
EDGE: Final = 0.05
"""Share of the events at the beginning and at the end whose time is not taken."""


class TooSlow(SystemExit):
    """Nothing moved for minutes."""


# Workers ----------------------------------------------------------------------------------------


class Workers:
    """Worker processes that were started here."""

    def __init__(self, processes: list[subprocess.Popen[bytes]]) -> None:
        """Take them."""
        self.processes = processes

    def wake(self) -> None:
        """Send them hints, as commits and beat do: one to take, one that may wait at a worker."""
        for process in self.processes * 2:
            if process.poll() is not None:
                raise SystemExit(f"A worker ended: {process.returncode}")
            if not send_hint(MONGODB):
                raise SystemExit("The broker did not take a hint.")


@contextmanager
def workers(count: int) -> Iterator[Workers]:
    """Run workers for the outbox's queue in this block, each with one process of its own."""
    started = [_worker(number) for number in range(count)]
    try:
        _wait_for(lambda: _answering() >= count, "The workers did not start.")
        yield Workers(started)
    finally:
        for process in started:
            process.terminate()  # the main process, which lets its child finish
        for process in started:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)


def _worker(number: int) -> subprocess.Popen[bytes]:
    log = os.environ.get("BENCHMARK_WORKER_LOG")
    output: Any = open(f"{log}.{number}", "ab") if log else subprocess.DEVNULL  # noqa: PTH123, SIM115
    return subprocess.Popen(
        [
            sys.executable, "-m", "celery", "-A", "config", "worker", "-Q", QUEUE,
            "--concurrency=1", f"--hostname=outbox-{number}@%h",
        ],
        cwd=ROOT, stdout=output, stderr=output, start_new_session=True,
    )  # fmt: skip


def _answering() -> int:
    from config.celery import app

    found = app.control.inspect(timeout=1).registered() or {}
    return sum(DRAIN in tasks for tasks in found.values())


# Rates ------------------------------------------------------------------------------------------


def rate_of(collection: Collection[Document], count: int, begin: Callable[[], object]) -> float:
    """Return documents a second while `count` new ones come into the empty collection.

    The time between the first and the last twentieth of them: neither how a drain begins nor how
    it ends. The count that MongoDB keeps of a collection costs nothing to read.
    """
    low, high = count * EDGE, count * (1 - EDGE)
    began: tuple[float, int] | None = None
    begin()
    deadline = time.monotonic() + LONGEST
    while True:
        there, now = collection.estimated_document_count(), time.monotonic()
        if began is None and there >= low:
            if there >= high:
                raise SystemExit("Nearly all were there at the first look: measure again.")
            began = now, there
        if began is not None and there >= high:
            return (there - began[1]) / (now - began[0])
        if now > deadline:
            raise TooSlow(f"{there} of {count} documents after {LONGEST:.0f} s.")
        time.sleep(BETWEEN_LOOKS)


def rate_of_ours(
    collection: Collection[Document], found: Workers, count: int, *, entities: int
) -> float:
    """Queue `count` events and return how many a second the workers deliver."""
    collection.drop()
    fill(MONGODB, count, entities=entities)
    rate = rate_of(collection, count, found.wake)
    wait_until_done(collection, count)
    return rate


def rate_of_raw(
    collection: Collection[Document], crew: outbox_raw.Crew, count: int, *, entities: int
) -> float:
    """Queue `count` events and return how many a second the bare loop delivers."""
    collection.drop()
    fill(outbox_raw.SINK, count, entities=entities)
    rate = rate_of(collection, count, crew.begin)
    delivered = crew.finish()
    if delivered != count or waiting(outbox_raw.SINK):
        raise SystemExit(f"The bare loop delivered {delivered} of {count}.")
    tidy()
    return rate


def rate_with_backlog(
    collection: Collection[Document], found: Workers, backlog: int, *, measured: int, entities: int
) -> float:
    """Queue `backlog` events and return how many of the first `measured` are delivered a second."""
    collection.drop()
    fill(MONGODB, backlog, entities=entities)
    vacuum()
    rate = rate_of(collection, min(measured, backlog), found.wake)
    tidy()
    wait_until_idle()
    return rate


def churn(count: int, *, entities: int) -> None:
    """Write and delete that many events, then vacuum: while a snapshot is held, they stay.

    In one transaction: a drainer that a late hint begins must not deliver them.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        fill(MONGODB, count, entities=entities)
        cursor.execute("DELETE FROM outbox_outboxevent")
    vacuum()


def wait_until_done(collection: Collection[Document], count: int) -> None:
    """Return when nothing waits, every document is there, and no drainer is at work."""
    _wait_for(lambda: not waiting(MONGODB), "Events are left over.")
    there = collection.count_documents({"_live": True})
    if there != count:
        raise SystemExit(f"{there} of {count} documents are in the collection.")
    wait_until_idle()
    tidy()


def wait_until_idle() -> None:
    """Return when no drainer lingers any more: it would take time from what is measured next."""
    _wait_for(lambda: not _drainers(), "A drainer does not end.")


def _drainers() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return int(cursor.fetchone()[0])


def _wait_for(condition: Callable[[], object], otherwise: str) -> None:
    deadline = time.monotonic() + LONGEST
    while not condition():
        if time.monotonic() > deadline:
            raise TooSlow(otherwise)
        time.sleep(0.05)
