"""Keeps secrets and personal data out of what is written down: logs, metrics, error reports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

MASK: Final = "***"

_SECRET_KEY = re.compile(
    r"authorization|cookie|passw|secret|token|api_?key|private_?key|credential|dsn|csrf|session_?key",
    re.IGNORECASE,
)
_SUBSTITUTIONS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # scheme://user:password@host; greedy, since passwords may hold @ and / unescaped
    (
        re.compile(r"([a-z][a-z0-9+.-]*://[^\s:/@\"'<>]*):[^\s\"'<>]*@", re.IGNORECASE),
        rf"\1:{MASK}@",
    ),
    # libpq's keyword form, query parameters, reprs of dicts and of keyword arguments
    (
        re.compile(
            r"(?P<key>[\w-]*(?:passw(?:or)?d|secret|token|api_?key)[\w-]*['\"]?\s*[=:]\s*)"
            r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s,;&)}\"']+)",
            re.IGNORECASE,
        ),
        rf"\g<key>{MASK}",
    ),
    (
        re.compile(r"((?:authorization|(?:set-)?cookie)['\"]?\s*[=:]\s*)[^\r\n]+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    # PostgreSQL quotes the row that broke a rule
    (re.compile(r"(Key \(.*?\)=)\(.*\)"), rf"\1({MASK})"),
    (re.compile(r"(Failing row contains )\(.*\)", re.DOTALL), rf"\1({MASK})"),
)
_LITERAL = re.compile(r"'(?:[^']|'')*'")


def redact(text: str) -> str:
    """Return `text` without passwords of URLs, tokens, cookies, and values of database errors."""
    for pattern, replacement in _SUBSTITUTIONS:
        text = pattern.sub(replacement, text)
    return text


def redact_sql(sql: str) -> str:
    """Return a statement without its literals: they are the rows' data."""
    return redact(_LITERAL.sub("'?'", sql))


def redact_value(value: Any, *, key: str = "", depth: int = 0) -> Any:
    """Return `value` as JSON can hold it, masked where its key or its text is secret."""
    if key and _SECRET_KEY.search(key):
        return MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < 4 and isinstance(value, Mapping):
        return {
            str(name): redact_value(inner, key=str(name), depth=depth + 1)
            for name, inner in value.items()
        }
    if depth < 4 and isinstance(value, list | tuple | set | frozenset):
        return [redact_value(inner, depth=depth + 1) for inner in value]
    return redact(str(value))
