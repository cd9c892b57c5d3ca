"""Helpers for tests of sites over many databases: outages, lag, and where statements ran.

They work on whatever servers the settings name. Nothing is imitated: `alias_down` makes connections
fail and lets the real breaker open, `replica_lag` stops the replay of the real replica. See
`docs/guides/testing.md`.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections
from django.db.utils import Error
from django.test.utils import override_settings

from common.errors import PolystoreError
from common.metrics import CROSSINGS
from databases import breaker as breakers
from databases import replica
from databases.aliases import is_replica, primary_of
from databases.backend.failover import only_reads
from databases.backend.wrapper import breaker_of, replace_pool
from databases.breaker import Breaker
from databases.probe import ask, conninfo_of

PATIENCE = 10.0
"""Seconds in which a server must do what a helper asked it to."""
PAUSE = 0.005
ANSWER_SECONDS = 2.0


class TestSetupRefused(PolystoreError):
    """If you meet this: a helper cannot do what its name says where it was called."""

    code = "databases.test_setup_refused"
    status = 500
    __test__ = False


# Outages ----------------------------------------------------------------------------------------


@contextmanager
def alias_down(alias: str) -> Iterator[Breaker]:
    """Make a database unreachable for this process, in this block.

    New connections are refused for real (the alias leads to a port where nobody listens), the pool
    is replaced, and the breaker has opened when the block begins. When it ends, the alias leads
    back and its breaker has closed. Other processes notice nothing; another thread keeps the
    connection that it holds until it gives it back.

    :param alias: of `DATABASES`.
    :returns: yields its breaker.
    :raises TestSetupRefused: inside a transaction on that alias, which has its connection already:
        use `TransactionTestCase`, or `django_db(transaction=True)`.
    """
    if connections[alias].in_atomic_block:
        raise TestSetupRefused(
            f"A transaction is open on {alias!r}, so its connection cannot be taken away.",
        )
    entry = connections.settings[alias]
    known = {name: entry[name] for name in ("HOST", "PORT")}
    breaker = breaker_of(entry)
    with _a_port_where_nobody_listens() as port:
        entry.update(HOST="127.0.0.1", PORT=port)
        try:
            _lead_anew(alias)
            _until(lambda: _refuses(alias, breaker), f"The breaker of {alias!r} did not open.")
            yield breaker
        finally:
            entry.update(known)
            _lead_anew(alias)
            _until(lambda: _serves(breaker), f"The breaker of {alias!r} did not close again.")
            if is_replica(alias):
                replica.get(alias).look()


@contextmanager
def _a_port_where_nobody_listens() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # without listen(): whoever connects is refused
        yield int(held.getsockname()[1])


def _lead_anew(alias: str) -> None:
    """Let everything that this process does with an alias begin with a new connection."""
    connections[alias].close()
    replace_pool(alias)
    for other in connections.settings:
        if is_replica(other) and alias in {other, primary_of(other)}:
            replica.get(other).close()


def _refuses(alias: str, breaker: Breaker) -> bool:
    if not breaker.is_open:
        try:
            connections[alias].ensure_connection()
        except Error:
            pass
        finally:
            connections[alias].close()
    return breaker.is_open


def _serves(breaker: Breaker) -> bool:
    try:
        breaker.require()  # asks for a probe at once, instead of awaiting the next one
    except breakers.AliasUnavailable:
        return False
    return True


# Lag --------------------------------------------------------------------------------------------


@contextmanager
def replica_lag(alias: str = "replica", *, catch_up: bool = True) -> Iterator[None]:
    """Keep a replica where it is in this block; it goes on receiving and shows nothing new.

    :param alias: of a replica whose role may call `pg_wal_replay_pause()`.
    :param catch_up: wait at the end until it shows what it received meanwhile.
    :raises databases.probe.ProbeFailed: where the server refuses that, or does not answer.
    """
    conninfo = conninfo_of(connections.settings[alias])

    def tell(sql: str) -> str:
        return ask(conninfo, sql, timeout=ANSWER_SECONDS)[0][0] or ""

    tell("SELECT pg_wal_replay_pause()")
    try:
        _until(
            lambda: tell("SELECT pg_get_wal_replay_pause_state()") == "paused",
            f"The replica {alias!r} did not pause its replay.",
        )
        yield
    finally:
        received = tell("SELECT pg_last_wal_receive_lsn()")
        tell("SELECT pg_wal_replay_resume()")
    if catch_up:
        _until(
            lambda: tell(f"SELECT pg_last_wal_replay_lsn() >= '{received}'") == "t",
            f"The replica {alias!r} did not catch up.",
        )


# Where statements ran ---------------------------------------------------------------------------


@contextmanager
def assert_read_from(*aliases: str) -> Iterator[Counter[str]]:
    """Assert that every read of this block ran on one of `aliases`, and that there was one.

    Reads are the statements of the ORM and of raw cursors that cannot change rows; the look at the
    WAL position that follows a write is none. Statements of other threads are not seen.

    :returns: yields the number of reads by the alias that served them, growing in the block. A
        read that the primary repeated for its replica counts for the primary.
    :raises AssertionError: naming each read that ran elsewhere.
    """
    reads: Counter[str] = Counter()
    elsewhere: list[str] = []

    def look(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's signature
        result = execute(sql, params, many, context)
        if only_reads(sql) and sql != replica.PRIMARY_SQL:
            served_by = _served_by(context["connection"])
            reads[served_by] += 1
            if served_by not in aliases:
                elsewhere.append(f"{served_by}: {sql[:200]}")
        return result

    with ExitStack() as stack:
        for alias in connections.settings:
            stack.enter_context(connections[alias].execute_wrapper(look))
        yield reads
    wanted = " or ".join(aliases)
    if elsewhere:
        raise AssertionError(f"Not read from {wanted}:\n" + "\n".join(elsewhere))
    if not reads:
        raise AssertionError(f"Nothing was read, from {wanted} or anywhere else.")


def _served_by(wrapper: Any) -> str:
    alias: str = wrapper.alias
    return primary_of(alias) if getattr(wrapper, "substituted", False) else alias


@contextmanager
def assert_no_cross_database() -> Iterator[None]:
    """Assert that nothing in this block crosses databases, whatever `CROSS_DATABASE_GUARD` says.

    :raises databases.guards.CrossesDatabases: where it happens.
    :raises AssertionError: at the end, when the code caught that and went on.
    """
    before = _crossings()
    with override_settings(CROSS_DATABASE_GUARD="raise"):
        yield
    found = _crossings() - before
    if found:
        raise AssertionError(f"Databases were crossed {found} times, and the error was caught.")


def _crossings() -> int:
    samples = (sample for metric in CROSSINGS.collect() for sample in metric.samples)
    return int(sum(sample.value for sample in samples if sample.name.endswith("_total")))


def _until(condition: Callable[[], bool], failure: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TestSetupRefused(failure)
        time.sleep(PAUSE)
