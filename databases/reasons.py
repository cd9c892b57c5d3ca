"""Why a store does not serve, in words that may leave the house: no host, user or driver's text.

The log keeps what the driver said; pages, metrics and alerts show its kind.
"""

from __future__ import annotations

import re
from typing import Final

_KINDS: Final = (
    ("sign-in refused", r"authentication failed|pg_hba|password|\brole .* does not exist|noauth"),
    ("no such database", r"database .* does not exist"),
    ("too many connections", r"too many|connection slots|max number of clients"),
    ("starting or shutting down", r"starting up|shutting down|not yet accepting|in recovery mode"),
    ("name not resolved", r"could not translate|name or service|resolve|nodename"),
    ("no encrypted connection", r"\bssl\b|\btls\b|certificate"),
    ("connection refused", r"refused|refuses|no such file"),
    ("no free connection", r"became free|waits long for a connection"),
    ("no answer in time", r"in time|timed? ?out|timeout|no longer answers|waited long"),
    ("connection lost", r"closed|terminat|reset by|broken pipe|lost|autoreconnect|connectionerror"),
)
_PATTERNS: Final = tuple((kind, re.compile(pattern)) for kind, pattern in _KINDS)
OTHER: Final = "does not serve"


def kind_of(reason: str) -> str:
    """Return the kind of failure that a driver's message tells of, or "" for no message."""
    text = reason.lower()
    if not text:
        return ""
    return next((kind for kind, pattern in _PATTERNS if pattern.search(text)), OTHER)


def of_replica(reason: str) -> str:
    """Return why a replica is left alone: our own words, with the kind where it is down."""
    head, _, rest = reason.partition(": ")
    return f"{head}: {kind_of(rest)}" if head == "down" and rest else reason
