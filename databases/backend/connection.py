"""psycopg connections and cursors that tell the breaker and the causal state what they see."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cache
from time import perf_counter
from types import TracebackType
from typing import Any, Protocol, Self, cast

import psycopg
from django.db.backends.postgresql import base as django_postgres
from psycopg import errors, sql
from psycopg.adapt import AdaptersMap
from psycopg.pq import ConnStatus, Format
from psycopg.waiting import Ready

from common.metrics import observe_query
from databases.breaker import Breaker
from databases.guards import harmless

TIMESTAMPS = psycopg.adapters.get_loader(django_postgres.TIMESTAMPTZ_OID, Format.TEXT)
"""The driver's own, in C: for a session in UTC it returns what Django's, in Python, does."""
FIRST_DOUBT = 1.0
"""Seconds of silence after which a waiting statement has the server probed beside it."""


@cache
def with_quick_timestamps(template: AdaptersMap) -> AdaptersMap:
    """Return Django's adapters for a session in UTC, but with the driver's timestamps."""
    made = AdaptersMap(template)
    if TIMESTAMPS is not None:
        made.register_loader("timestamptz", TIMESTAMPS)
    return made


class Owner(Protocol):
    """Whom cursors report to: the wrapper of their alias."""

    alias: str
    primary: str

    def before_statement(self, query: str) -> None:
        """Look at the SQL text before it runs; may refuse it by raising."""

    def after_statement(self, query: str, tag: str) -> None:
        """Take note of the SQL text and the server's command tag, after it ran."""


class Reporting:
    """A cursor that reports each statement to its connection's owner and to the metrics."""

    owner: Owner | None = None

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Self:
        """Run `query` and report it."""
        # What `_Report` does, spelled out: every statement of the site passes here, and a context
        # manager would cost it two calls more.
        owner = self.owner
        if owner is None or not isinstance(query, str):
            with _Report(self, query):
                return cast(Self, super().execute(query, *args, **kwargs))  # type: ignore[misc]
        unknown = query not in harmless[owner.primary]
        if unknown:
            owner.before_statement(query)
        started = perf_counter()
        try:
            super().execute(query, *args, **kwargs)  # type: ignore[misc]
        except BaseException:
            observe_query(owner.alias, perf_counter() - started, failed=True)
            raise
        observe_query(owner.alias, perf_counter() - started)
        if unknown:
            owner.after_statement(query, self.statusmessage or "")  # type: ignore[attr-defined]
        return self

    def executemany(self, query: Any, *args: Any, **kwargs: Any) -> None:
        """Run `query` for many parameters and report it once."""
        with _Report(self, query, many=True):
            super().executemany(query, *args, **kwargs)  # type: ignore[misc]

    @contextmanager
    def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Copy in or out; the report comes at the end, when the rows are there."""
        with (
            _Report(self, statement),
            super().copy(statement, *args, **kwargs) as copying,  # type: ignore[misc]
        ):
            yield copying


class _Report:
    """Measures one statement."""

    __slots__ = ("_cursor", "_many", "_query", "_started")

    def __init__(self, cursor: Reporting, query: Any, *, many: bool = False) -> None:
        self._cursor = cursor
        self._query = query
        self._many = many

    def __enter__(self) -> None:
        owner = self._cursor.owner
        if owner is not None:
            query = self._query
            owner.before_statement(query if isinstance(query, str) else _text_of(query))
        self._started = perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        owner = self._cursor.owner
        if owner is None:
            return
        observe_query(owner.alias, perf_counter() - self._started, failed=kind is not None)
        if kind is None:
            query = self._query
            text = query if isinstance(query, str) else _text_of(query)
            owner.after_statement(text, self._tag())

    def _tag(self) -> str:
        tag: str = self._cursor.statusmessage or ""  # type: ignore[attr-defined]
        if self._many and tag.endswith(" 0"):
            # The tag is that of the last parameters; the count is that of all of them.
            return f"{tag[:-2]} {self._cursor.rowcount}"  # type: ignore[attr-defined]
        return tag


def _text_of(query: Any) -> str:
    """Return the SQL of what psycopg takes besides text: bytes and composed statements."""
    if isinstance(query, sql.Composable):
        return query.as_string(None)
    return query.decode(errors="replace") if isinstance(query, bytes) else str(query)


class Cursor(Reporting, django_postgres.Cursor):
    """Django's cursor with client-side binding, reporting."""


class ServerBindingCursor(Reporting, django_postgres.ServerBindingCursor):
    """Django's cursor with server-side binding, reporting."""


class NamedCursor(Reporting, django_postgres.ServerSideCursor):
    """Django's cursor of `iterator()`, which stays on the server, reporting."""


class NamedServerBindingCursor(Reporting, psycopg.ServerCursor[Any]):
    """The same with server-side binding."""


class WatchedConnection(psycopg.Connection[Any]):
    """A connection whose failures reach its breaker, and whose waits end when the server hangs.

    Made per alias by `watched`, which sets the class attributes.
    """

    breaker: Breaker
    on_lost: Callable[[], None]
    cancel_after: float | None = None
    """Seconds after which a statement is cancelled from here, where the server cannot be told
    (behind a transaction pooler); None where the server's statement_timeout does it."""
    unwatched: float = FIRST_DOUBT
    """Seconds of silence in which there is nothing to do but wait."""

    @classmethod
    def connect(cls, *args: Any, **kwargs: Any) -> Self:
        """Connect; a failure opens the breaker, so that nobody else waits to learn the same.

        :raises psycopg.OperationalError: as psycopg does.
        """
        try:
            return super().connect(*args, **kwargs)
        except psycopg.OperationalError as error:
            cls.breaker.failed(" ".join(str(error).split())[:300])
            raise

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Consume `gen` as psycopg does, watching for a server that is gone or hangs."""
        try:
            if timeout is None:
                try:
                    # Nearly every statement ends here, and needs nobody to look at the clock.
                    return super().wait(gen, interval, self.unwatched)
                except errors._WaitTimeout:
                    gen = self._watched(gen)
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError as error:
            if self.pgconn.status == ConnStatus.BAD:
                self.on_lost()
                self.breaker.suspect(" ".join(str(error).split())[:300])
            raise

    def _watched(self, gen: Any) -> Generator[Any, Any, Any]:
        """Pass `gen` on after a first wait; look at the clock at every tick without news."""
        started = time.monotonic() - self.unwatched
        doubt = FIRST_DOUBT
        cancelled = False
        try:
            # It stands where the first wait left it: it has to be told that nothing is ready.
            wanted = gen.send(Ready.NONE)
            while True:
                ready = yield wanted
                if not ready:
                    silence = time.monotonic() - started
                    doubt = self._doubt(silence, doubt)
                    if not cancelled and self.cancel_after and silence > self.cancel_after:
                        cancelled = True
                        self.cancel_safe(timeout=1.0)
                wanted = gen.send(ready)
        except StopIteration as finished:
            return finished.value

    def _doubt(self, silence: float, doubt: float) -> float:
        """Have the server probed beside a statement that waits; give up if it says nothing.

        :returns: the silence, in seconds, at which to ask the next time.
        :raises psycopg.OperationalError: when the probe found the server hanging.
        """
        if silence > FIRST_DOUBT and self.breaker.silent:
            self.pgconn.finish()
            raise errors.ConnectionTimeout("the server no longer answers")
        if silence < doubt:
            return doubt
        self.breaker.suspect("a statement has waited long")
        return doubt * 2


def watched(
    *, breaker: Breaker, on_lost: Callable[[], None], cancel_after: float | None
) -> type[WatchedConnection]:
    """Return the connection class of one alias."""
    members = {
        "breaker": breaker,
        "on_lost": staticmethod(on_lost),
        "cancel_after": cancel_after,
        "unwatched": min(FIRST_DOUBT, cancel_after or FIRST_DOUBT),
    }
    return cast(type[WatchedConnection], type("AliasConnection", (WatchedConnection,), members))
