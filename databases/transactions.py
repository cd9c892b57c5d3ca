"""One transaction, one database; and none is open while another store is called."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import OperationalError, connections, transaction

from common.errors import PolystoreError
from databases.crossings import CrossesDatabases, is_allowed, object_to
from databases.deferred import Afterwards, Row, Target
from databases.placement import alias_of


class _Held(threading.local):
    """Connections of this thread that left autocommit: asking all of Django's costs microseconds
    each."""

    def __init__(self) -> None:
        """Begin with none, in each thread."""
        self.begun: set[Any] = set()


held = _Held()


class TransactionHeldOpen(CrossesDatabases):
    """If you meet this: another store was called while a transaction was open.

    A slow store would hold the transaction's locks and its connection; and whatever it changed
    would stay when the transaction rolls back.
    """

    code = "databases.transaction_held_open"
    title = "A transaction is held open"
    remedy = (
        "Call the store after the transaction, with transaction.on_commit(...). Where it must be, "
        "use allow_cross_database(reason=...)."
    )


class CommitUnknown(PolystoreError, OperationalError):
    """If you meet this: the connection was lost in a COMMIT, before the server's answer came.

    The rows are either all there or not at all, and only a look at them tells which.
    """

    code = "databases.commit_unknown"
    status = 503
    title = "Nobody knows whether it was stored"
    remedy = (
        "Look whether it was stored before you try again, or try again with the same "
        "Idempotency-Key."
    )
    retry_after = 2

    def __init__(self, alias: str) -> None:
        """Name the database."""
        super().__init__(f"The connection to {alias!r} was lost in a COMMIT.", store=alias)


class NoTransaction(PolystoreError):
    """If you meet this: rows were to be written with a transaction, and none was open."""

    code = "databases.no_transaction"
    title = "No transaction is open"
    remedy = "Write inside `with atomic_for(app_label):`, together with the rows they belong to."


def require_no_transaction(*, before: str) -> None:
    """Return when no transaction is open in this thread, on any database.

    :param before: what is about to happen, e.g. "MongoDB is called".
    :raises TransactionHeldOpen: naming the databases whose transactions are open, where the guard
        raises (development, tests); elsewhere it is logged and counted.

    The transactions that Django's TestCase opens around a test do not count.
    """
    open_on = [wrapper.alias for wrapper in open_transactions()]
    if open_on and not is_allowed():
        aliases = ", ".join(open_on)
        object_to(TransactionHeldOpen(f"{before}, while a transaction is open on {aliases}."))


def give_connections_back() -> None:
    """Return this thread's connections to their pools, before something slow that needs none.

    Whoever asks a database next takes one again. Those within a transaction stay.
    """
    for wrapper in connections.all(initialized_only=True):
        if wrapper.connection is not None and not wrapper.in_atomic_block:
            wrapper.close()


def atomic_for(app_label: str, *, durable: bool = False) -> Any:
    """Return `transaction.atomic` on the database where `app_label` lives now.

    :param app_label: the app whose rows the block writes.
    :param durable: refuse to be nested, as Django's `durable` does.
    """
    return transaction.atomic(using=alias_of(app_label), durable=durable)


def after_commit(app_label: str, function: Callable[[], object]) -> None:
    """Call `function` when the open transaction of the app's database has committed, or now."""
    transaction.on_commit(lambda: function() and None, using=alias_of(app_label))


def open_transactions() -> list[Any]:
    """Return the connections of this thread that hold a transaction open."""
    return [wrapper for wrapper in held.begun if in_transaction(wrapper)]


def note_begun(wrapper: Any) -> None:
    """Remember that a connection of this thread has left autocommit."""
    held.begun.add(wrapper)


def note_ended(wrapper: Any) -> None:
    """Forget it again: it is back in autocommit, or closed."""
    held.begun.discard(wrapper)


def in_transaction(wrapper: Any) -> bool:
    """Tell whether a connection holds a transaction open that no TestCase opened."""
    if wrapper.in_atomic_block:
        return bool(real_blocks(wrapper))
    return wrapper.connection is not None and not wrapper.autocommit


def real_blocks(wrapper: Any) -> list[Any]:
    """Return the open `atomic` blocks of a connection, outermost first, but no TestCase's own."""
    return [block for block in wrapper.atomic_blocks if not _opened_by_a_test_case(block)]


def _opened_by_a_test_case(block: Any) -> bool:
    # A private mark of Django's TestCase; a test fails when an upgrade removes it.
    return bool(getattr(block, "_from_testcase", False))


def insert_at_commit(
    app_label: str, target: Target, row: Row, *, afterwards: Afterwards | None = None
) -> None:
    """Insert `row` together with the COMMIT of the open transaction of the app's database.

    It costs no round trip of its own. A savepoint that is rolled back takes its rows along.

    :param afterwards: called once after the commit, however many rows name the same function;
        cheaper than `after_commit`. Must be quick, and use no database; what it raises is logged.
    :raises NoTransaction: when no transaction is open there.
    """
    wrapper: Any = connections[alias_of(app_label)]
    if not in_transaction(wrapper):
        raise NoTransaction(f"No transaction is open on {wrapper.alias}.")
    wrapper.deferred.add(target, row, afterwards)
