"""Clients that write: how long until MongoDB shows it, and what an event costs a commit.

Each client is a process with the whole site in it, as a process of gunicorn or Celery is.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final

from pymongo.collection import Collection

from benchmarks.common import percentile
from benchmarks.outbox_site import AGGREGATE, EVENT, Document

WRITERS: Final = 2
WARM_UP: Final = 2.0
GRACE: Final = 15.0
"""Seconds that the last events may take."""
SLOT: Final = 0.5
PATTERN: Final = (True, False, False, True)
"""Which of four slots record events: neither side always comes first."""
IGNORED_SLOTS: Final = 4

Seen = dict[tuple[str, str], float]
"""(id, what was written) → when, by the machine's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Events a second, and how many rows one transaction changes."""

    events: int
    rows: int = 1

    @property
    def transactions(self) -> float:
        """Return transactions a second."""
        return self.events / self.rows


@dataclass(slots=True)
class Lags:
    """Seconds between the answer to a COMMIT and the document in MongoDB."""

    seconds: list[float] = field(default_factory=list)
    transactions_a_second: float = 0.0

    def ms(self, share: float) -> float:
        """Return a percentile in milliseconds."""
        return percentile(self.seconds, share) * 1000


# Lag --------------------------------------------------------------------------------------------


def lags_at(
    rate: Rate, collection: Collection[Document], entities: Sequence[str], *, seconds: float
) -> Lags:
    """Write at `rate` for `seconds` after a warm-up, and watch MongoDB change."""
    each = len(entities) // WRITERS
    parts = [
        (write_at_rate, (list(entities[each * n : each * (n + 1)]), rate, n, seconds))
        for n in range(WRITERS)
    ]
    with watching(collection) as seen, clients(parts) as found:
        committed: Seen = {}
        for of_one in found.results(timeout=seconds + WARM_UP + 60):
            committed |= of_one
        deadline = time.monotonic() + GRACE
        while len(seen) < len(committed) and time.monotonic() < deadline:
            time.sleep(0.05)
    missing = committed.keys() - seen.keys()
    if missing:
        raise SystemExit(f"{len(missing)} of {len(committed)} events did not arrive.")
    begun = min(committed.values()) + WARM_UP
    lags = Lags([seen[key] - when for key, when in committed.items() if when >= begun])
    span = max(committed.values()) - begun
    lags.transactions_a_second = len(lags.seconds) / rate.rows / span
    return lags


def write_at_rate(entities: list[str], rate: Rate, number: int, seconds: float) -> Seen:
    """Change rows, each time others, a writer's part of `rate`; return when each was committed."""
    from customers.models import BusinessEntity
    from databases.transactions import atomic_for
    from outbox.recording import record_event

    committed: Seen = {}
    between = WRITERS / rate.transactions
    begun = time.monotonic() + between * number / WRITERS
    turn = 0
    end = begun + WARM_UP + seconds
    # A machine that cannot write as fast ends at the same time, and says what it reached.
    while max(due := begun + turn * between, time.monotonic()) < end:
        time.sleep(max(0.0, due - time.monotonic()))
        at = turn * rate.rows % (len(entities) - rate.rows)
        keys = entities[at : at + rate.rows]
        written = f"{rate.events}-{number}-{turn}"
        with atomic_for("customers"):
            BusinessEntity.objects.filter(pk__in=keys).update(trading_name=written)
            for key in keys:
                record_event(aggregate_type=AGGREGATE, aggregate_id=key, event_type=EVENT)
        now = time.monotonic()
        committed.update({(key, written): now for key in keys})
        turn += 1
    return committed


@contextmanager
def watching(collection: Collection[Document]) -> Iterator[Seen]:
    """Note in this block when each document changes, as a change stream tells."""
    seen: Seen = {}
    over = threading.Event()
    what = [
        {"$project": {
            "documentKey": 1,
            "new": "$fullDocument.trading_name",
            "changed": "$updateDescription.updatedFields.trading_name",
        }}
    ]  # fmt: skip
    stream = collection.watch(what, max_await_time_ms=200)

    def note() -> None:
        while not over.is_set():
            change = stream.try_next()
            if change is not None:
                written = change.get("changed") or change.get("new") or ""
                seen.setdefault((change["documentKey"]["_id"], written), time.monotonic())

    watcher = threading.Thread(target=note)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()
        stream.close()


# Commits ----------------------------------------------------------------------------------------


def commits_a_second(
    entities: Sequence[str], *, processes: int, seconds: float
) -> dict[bool, float]:
    """Return the transactions a second of all clients: with an event (True) and without."""
    each = len(entities) // processes
    parts = [
        (commit_by_turns, (list(entities[each * n : each * (n + 1)]), seconds))
        for n in range(processes)
    ]
    slots = int(seconds / SLOT) - IGNORED_SLOTS
    with clients(parts) as found:
        counts: list[dict[bool, int]] = list(found.results(timeout=seconds + 60))
    return {
        which: sum(count[which] for count in counts) / (slots / 2 * SLOT) for which in (True, False)
    }


def commit_by_turns(entities: list[str], seconds: float) -> dict[bool, int]:
    """Change one row a transaction, in slots of time with and without an event."""
    from customers.models import BusinessEntity
    from databases.transactions import atomic_for
    from outbox.recording import record_event

    counts = {True: 0, False: 0}
    begun = time.monotonic()
    turn = 0
    while (slot := int((time.monotonic() - begun) / SLOT)) < int(seconds / SLOT):
        key, recorded = entities[turn % len(entities)], PATTERN[slot % len(PATTERN)]
        with atomic_for("customers"):
            BusinessEntity.objects.filter(pk=key).update(trading_name=str(turn))
            if recorded:
                record_event(aggregate_type=AGGREGATE, aggregate_id=key, event_type=EVENT)
        turn += 1
        counts[recorded] += slot >= IGNORED_SLOTS
    return counts


# Processes --------------------------------------------------------------------------------------


class Clients:
    """Processes that do one thing each, at the same time."""

    def __init__(self, pipes: Sequence[Connection]) -> None:
        """Take the pipes to them."""
        self._pipes = pipes

    def results(self, *, timeout: float) -> Iterator[Any]:
        """Yield what each of them found."""
        deadline = time.monotonic() + timeout
        for pipe in self._pipes:
            if not pipe.poll(max(0.0, deadline - time.monotonic())):
                raise SystemExit("A client did not answer.")
            try:
                yield pipe.recv()
            except EOFError:
                raise SystemExit("A client ended before its time.") from None


@contextmanager
def clients(parts: Sequence[tuple[Any, tuple[Any, ...]]]) -> Iterator[Clients]:
    """Call each function in a process of its own; all begin when the last of them is ready."""
    context = multiprocessing.get_context("spawn")
    pipes, children = [], []
    for function, arguments in parts:
        ours, theirs = context.Pipe()
        child = context.Process(target=_be_client, args=(theirs, function, arguments))
        child.start()
        theirs.close()
        pipes.append(ours)
        children.append(child)
    try:
        for pipe in pipes:
            pipe.recv()
        for pipe in pipes:
            pipe.send("go")
        yield Clients(pipes)
    finally:
        for child in children:
            child.join(20)
            if child.is_alive():
                child.kill()


def _be_client(pipe: Connection, function: Any, arguments: tuple[Any, ...]) -> None:
    import django
    from django.db import connections

    from benchmarks.common import disconnect

    django.setup()
    from config import celery  # noqa: F401 - whoever sends hints needs the application

    connections["default"].ensure_connection()
    pipe.send(os.getpid())
    pipe.recv()
    pipe.send(function(*arguments))
    disconnect()
