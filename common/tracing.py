"""Which request (or task) this code works for: a request id and a W3C trace context.

Held in a context variable, so that it is right in threads, coroutines and tasks alike.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, replace
from typing import Final

REQUEST_ID_HEADER: Final = "X-Request-ID"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}")
_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<rest>-.*)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The request or task at work. Ids are lower-case hexadecimal."""

    request_id: str
    trace_id: str
    """32 digits, shared by everything that one outside call set in motion."""
    span_id: str
    """16 digits, this process's own part."""
    parent_id: str = ""
    """The caller's span, or "" where the trace begins here."""
    sampled: bool = False
    task_id: str = ""
    tracestate: str = ""
    """Vendors' additions, passed on as they came."""

    @property
    def traceparent(self) -> str:
        """Return the header that tells the next service about this span."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


_current: ContextVar[Trace | None] = ContextVar("polystore_trace", default=None)


def current() -> Trace | None:
    """Return the trace at work, or None outside requests and tasks."""
    return _current.get()


def current_request_id() -> str:
    """Return the id of the request at work, or "" outside requests and tasks."""
    trace = _current.get()
    return trace.request_id if trace else ""


def begin(*, request_id: str = "", traceparent: str = "", tracestate: str = "") -> Trace:
    """Return a new span, continuing the caller's trace where its headers are valid.

    Invalid or missing headers are not an error: a new id takes their place.
    """
    accepted = request_id if _REQUEST_ID.fullmatch(request_id) else secrets.token_hex(16)
    caller = parse_traceparent(traceparent)
    if caller is None:
        return Trace(
            request_id=accepted, trace_id=secrets.token_hex(16), span_id=secrets.token_hex(8)
        )
    trace_id, parent_id, sampled = caller
    return Trace(
        request_id=accepted,
        trace_id=trace_id,
        span_id=secrets.token_hex(8),
        parent_id=parent_id,
        sampled=sampled,
        tracestate=tracestate if len(tracestate) <= 512 and tracestate.isprintable() else "",
    )


def parse_traceparent(header: str) -> tuple[str, str, bool] | None:
    """Return (trace id, parent's span id, sampled), or None where the header is not valid.

    Follows W3C Trace Context §3.2: zero ids and version ff are invalid, version 00 ends after the
    flags, later versions may go on.
    """
    found = _TRACEPARENT.fullmatch(header.strip())
    if found is None or found["version"] == "ff":
        return None
    if found["version"] == "00" and found["rest"]:
        return None
    if set(found["trace"]) == {"0"} or set(found["span"]) == {"0"}:
        return None
    return found["trace"], found["span"], bool(int(found["flags"], 16) & 1)


def enter(trace: Trace) -> Token[Trace | None]:
    """Make `trace` the current one; hand the token to `leave`."""
    return _current.set(trace)


def leave(token: Token[Trace | None]) -> None:
    """Put back what was current before `enter`."""
    _current.reset(token)


@contextmanager
def working_for(trace: Trace) -> Iterator[Trace]:
    """Make `trace` the current one within the block."""
    token = enter(trace)
    try:
        yield trace
    finally:
        leave(token)


def in_task(trace: Trace, *, task_id: str) -> Trace:
    """Return `trace` as seen from inside a task."""
    return replace(trace, task_id=task_id)
