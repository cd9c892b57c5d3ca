"""A read that its replica fails is repeated once on the primary, where that is safe.

Safe is a single reading statement outside any transaction whose rows nobody has seen yet. The
replica's wrapper then speaks over a connection of the primary until it is closed, at the end of
the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.backends.postgresql.base import CursorDebugWrapper
from django.db.backends.utils import CursorWrapper
from django.db.utils import InternalError, OperationalError
from psycopg.pq import ConnStatus

from databases.backend.statements import changes_rows
from databases.breaker import AliasUnavailable

if TYPE_CHECKING:
    from databases.backend.wrapper import WatchedWrapper

HELD_UP = frozenset({"40001", "55P03"})
"""SQLSTATEs of a statement that a replica cancelled because it held up replay, and of one that
waited too long for a lock, which on a replica only replay holds (a migration, a TRUNCATE)."""

READING = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "DECLARE", "FETCH", "CLOSE", "SHOW"})


class _RepeatedOnThePrimary:
    """A Django cursor whose statement may move to the primary."""

    db: WatchedWrapper
    cursor: Any

    def _execute(self, sql: str, params: Any, *context: Any) -> Any:
        if self.db.substituted:
            refuse_writes_on_a_substitute(sql)
        try:
            return super()._execute(sql, params, *context)  # type: ignore[misc]
        except OperationalError as error:
            if not may_be_repeated(self.db, sql, error):
                raise
            name = getattr(self.cursor, "name", None)
            self.cursor = self.db.cursor_on_the_primary(name=name or None, reason=error)
            return super()._execute(sql, params, *context)  # type: ignore[misc]


class ReplicaCursor(_RepeatedOnThePrimary, CursorWrapper):
    """The cursor of a replica's wrapper."""


class ReplicaDebugCursor(_RepeatedOnThePrimary, CursorDebugWrapper):
    """The same where queries are logged."""


def may_be_repeated(wrapper: WatchedWrapper, sql: str, error: OperationalError) -> bool:
    """Tell whether a statement that failed on a replica may run on the primary instead."""
    if wrapper.substituted or wrapper.in_atomic_block or not wrapper.autocommit:
        return False
    if not only_reads(sql):
        return False
    lost = wrapper.connection is None or wrapper.connection.pgconn.status == ConnStatus.BAD
    sqlstate = getattr(error.__cause__, "sqlstate", None)
    return lost or sqlstate in HELD_UP or isinstance(error, AliasUnavailable)


def only_reads(sql: str) -> bool:
    """Tell whether a statement can be repeated without harm: in doubt it cannot."""
    verb = sql.lstrip(" \t\r\n(").partition(" ")[0].upper()
    return verb in READING and not changes_rows(sql, "SELECT")


def refuse_writes_on_a_substitute(sql: str) -> None:
    """Refuse what the replica itself would refuse, while the primary stands in for it.

    :raises InternalError: as the server does for a write in a read-only transaction.
    """
    if not only_reads(sql):
        raise InternalError("cannot change rows in a read-only transaction (a replica's alias)")
