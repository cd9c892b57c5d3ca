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
# Each of these takes time that grows as the text does: strangers choose what is written down of a
# refused Host header, and would have a process look for secrets in it for minutes.
_WORD: Final = re.compile(r"[^\s\"'<>]+")
_USER: Final = re.compile(r"[a-z0-9+.-]://[^:/@]*:", re.IGNORECASE)
_SUBSTITUTIONS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # libpq's keyword form, query parameters, reprs of dicts and of keyword arguments
    (
        re.compile(
            r"(?P<key>(?<![\w-])(?=[\w-]*(?:passw(?:or)?d|secret|token|api_?key))[\w-]++"
            r"['\"]?\s*[=:]\s*)"
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
    # PostgreSQL quotes the row that broke a rule; without its end, all of the rest is masked
    (re.compile(r"(Key \((?:(?!Key \().)*?\)=)\((?:.*\)|.*)"), rf"\1({MASK})"),
    (re.compile(r"(Failing row contains )\((?:.*\)|.*)", re.DOTALL), rf"\1({MASK})"),
)
_LITERAL = re.compile(r"'(?:[^']|'')*'")


def redact(text: str) -> str:
    """Return `text` without passwords of URLs, tokens, cookies, and values of database errors."""
    if "://" in text and "@" in text:
        text = _WORD.sub(_without_password, text)
    for pattern, replacement in _SUBSTITUTIONS:
        text = pattern.sub(replacement, text)
    return text


def _without_password(word: re.Match[str]) -> str:
    """Return scheme://user:***@host; up to the last @, as passwords may hold @ and / unescaped."""
    text = word[0]
    before, at, host = text.rpartition("@")
    user = _USER.search(before) if at else None
    return f"{before[: user.end()]}{MASK}@{host}" if user is not None else text


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
