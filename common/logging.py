"""Structured logs: one JSON object a line, with the request it belongs to, without secrets.

Log events, not prose: `logger.warning("replica.bypassed", extra={"alias": alias})`.
"""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any, Final

from common.redaction import redact, redact_sql, redact_value
from common.tracing import current

_STANDARD: Final = frozenset(
    {*vars(logging.LogRecord("", 0, "", 0, "", None, None)), "message", "asctime", "taskName"}
)
_UNWANTED: Final = frozenset({"request", "server_time", "status_code"})
"""Extras that Django adds for its own handlers: a request's repr holds the query string."""


class StructuredFormatter(logging.Formatter):
    """Turns a record into one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return json.dumps(fields_of(record), ensure_ascii=False, default=str)


class ReadableFormatter(logging.Formatter):
    """Turns a record into a line for people at a terminal; the same fields, the same masks."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and behind it the stack where there is one."""
        fields = fields_of(record)
        exception = fields.pop("exception", None)
        time = fields.pop("timestamp")[11:19]
        level, name, event = (fields.pop(key) for key in ("level", "logger", "event"))
        for key in ("trace_id", "process"):
            fields.pop(key, None)
        rest = " ".join(f"{key}={value}" for key, value in fields.items())
        line = f"{time} {level:<7} {name}: {event}" + (f"  {rest}" if rest else "")
        return f"{line}\n{exception['stack']}" if exception else line


class OnlyFailures(logging.Filter):
    """Drops what Django says about every answer from 400 up; the access log has said it.

    Records with an exception stay.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record stays."""
        return bool(record.exc_info)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a log line says, in its order, masked."""
    fields: dict[str, Any] = {
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": _event(record),
        "process": record.process,
    }
    trace = current()
    if trace is not None:
        fields["request_id"] = trace.request_id
        fields["trace_id"] = trace.trace_id
        if trace.task_id:
            fields["task_id"] = trace.task_id
    for key, value in _extras(record).items():
        fields.setdefault(key, redact_value(value, key=key))
    if record.exc_info and record.exc_info[1] is not None:
        fields["exception"] = _exception(record.exc_info[1])
    return fields


def _event(record: logging.LogRecord) -> str:
    if hasattr(record, "sql"):
        return "database.query"
    try:
        return redact(record.getMessage())
    except (TypeError, ValueError, KeyError):  # arguments that do not fit their message
        return redact(str(record.msg))


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    extras = {
        key: value
        for key, value in vars(record).items()
        if key not in _STANDARD and key not in _UNWANTED and not key.startswith("_")
    }
    if "sql" in extras:  # django.db.backends: its parameters are the rows' data
        extras.pop("params", None)
        extras["sql"] = redact_sql(str(extras["sql"]))
    if record.name.startswith("celery"):
        extras.pop("data", None)  # the arguments and the result of a task
    return extras


def _exception(error: BaseException) -> dict[str, str]:
    return {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "message": redact(str(error)),
        "stack": redact("".join(traceback.format_exception(error)).rstrip()),
    }
