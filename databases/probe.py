"""Ask a PostgreSQL server something within an exact deadline.

`psycopg.connect` raises a connect_timeout below 2 s to 2 s, and a statement sent to a server that
is stopped (SIGSTOP, a cut cable) waits for ever. Health, breakers and the replica gate must have
an answer within milliseconds, so they speak to libpq directly (libpq manual, 34.1 and 34.4: the
non-blocking connect and query calls) and give up when the deadline passes.
"""

from __future__ import annotations

import select
import time
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

Row = tuple[str | None, ...]


class ProbeFailed(Exception):
    """The server did not answer; the message says why and holds no secret."""

    def __init__(self, reason: str, *, seconds: float, sqlstate: str = "") -> None:
        """Keep the reason, how long it took to find out, and the server's SQLSTATE if any."""
        super().__init__(reason)
        self.reason = reason
        self.seconds = seconds
        self.sqlstate = sqlstate


class NoAnswerInTime(ProbeFailed, TimeoutError):
    """The server may have accepted the connection, but it says nothing."""


def conninfo_of(settings: dict[str, Any], **overrides: Any) -> str:
    """Return the libpq connection string of a DATABASES entry, less what only Django reads.

    :param settings: the entry, as in `connection.settings_dict`.
    :param overrides: libpq parameters that replace the entry's.
    """
    options = {
        name: value
        for name, value in settings.get("OPTIONS", {}).items()
        if name not in {"pool", "prepare_threshold", "server_side_binding"}
        and name not in {"cursor_factory", "isolation_level", "assume_role", "context"}
    }
    parameters = {
        **options,
        "dbname": settings.get("NAME"),
        "user": settings.get("USER"),
        "password": settings.get("PASSWORD"),
        "host": settings.get("HOST"),
        "port": settings.get("PORT"),
        **overrides,
    }
    return make_conninfo(**{k: v for k, v in parameters.items() if v not in (None, "")})


class Session:
    """One connection of its own, every step of which ends by a deadline.

    Not thread-safe: callers hold a lock of theirs.
    """

    def __init__(self, conninfo: str, *, timeout: float) -> None:
        """Connect within `timeout` seconds.

        :raises ProbeFailed: when that does not succeed.
        """
        self._started = time.monotonic()
        self._deadline = self._started + timeout
        self._connection = pq.PGconn.connect_start(conninfo.encode())
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def query(self, sql: str, *, timeout: float) -> list[Row]:
        """Return the rows of `sql` as text, within `timeout` seconds.

        :raises ProbeFailed: when the server is slower, gone, or reports an error.
        """
        self._started = time.monotonic()
        self._deadline = self._started + timeout
        try:
            self._connection.nonblocking = 1
            self._connection.send_query(sql.encode())
            while self._connection.flush():
                self._wait(pq.PollingStatus.WRITING)
            return self._rows()
        except psycopg.Error as error:
            raise self._failed(str(error)) from None

    def close(self) -> None:
        """Give the connection up; safe to call twice."""
        self._connection.finish()

    def __enter__(self) -> Self:
        """Return the session, which closes at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _connect(self) -> None:
        status: int = pq.PollingStatus.WRITING
        while status != pq.PollingStatus.OK:
            if status == pq.PollingStatus.FAILED or self._connection.status == pq.ConnStatus.BAD:
                raise self._failed(self._connection.get_error_message())
            self._wait(status)
            status = self._connection.connect_poll()

    def _rows(self) -> list[Row]:
        rows: list[Row] = []
        failure = ""
        sqlstate = ""
        while True:
            self._connection.consume_input()
            while self._connection.is_busy():
                self._wait(pq.PollingStatus.READING)
                self._connection.consume_input()
            result = self._connection.get_result()
            if result is None:
                break
            if result.status in {pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE}:
                failure = result.get_error_message() or "The server reported an error."
                sqlstate = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
            rows.extend(
                tuple(_text(result.get_value(row, column)) for column in range(result.nfields))
                for row in range(result.ntuples)
            )
        if failure:
            raise self._failed(failure, sqlstate)
        return rows

    def _wait(self, status: int) -> None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise self._silent()
        poller = select.poll()
        reading = status == pq.PollingStatus.READING
        poller.register(self._connection.socket, select.POLLIN if reading else select.POLLOUT)
        if not poller.poll(remaining * 1000):
            raise self._silent()

    def _silent(self) -> NoAnswerInTime:
        return NoAnswerInTime("no answer in time", seconds=time.monotonic() - self._started)

    def _failed(self, reason: str, sqlstate: str = "") -> ProbeFailed:
        seconds = time.monotonic() - self._started
        return ProbeFailed(reason.strip(), seconds=seconds, sqlstate=sqlstate)


def ask(conninfo: str, sql: str, *, timeout: float) -> list[Row]:
    """Connect, run `sql`, disconnect: all within `timeout` seconds.

    :returns: the rows, each a tuple of text or None.
    :raises ProbeFailed: when any step fails or the time is up.
    """
    started = time.monotonic()
    with Session(conninfo, timeout=timeout) as session:
        return session.query(sql, timeout=max(0.001, timeout - (time.monotonic() - started)))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")
