"""Which session a request came with, and what news of its end come under."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest

from accounts.sessions.entries import Entry


def current_session(request: HttpRequest) -> UUID | None:
    """Return the id of the session that the request came with; None where it had none."""
    entry = _entry_of(request)
    return UUID(entry.id) if entry is not None else None


def names_of_news(request: HttpRequest) -> tuple[str, ...]:
    """Return what to ask `accounts.sessions.ends` of the request's session; () where it has none.

    For whoever serves one request for long, and must notice when the sign-in ends meanwhile.
    """
    entry = _entry_of(request)
    return (entry.key_hash, entry.user_id) if entry is not None else ()


def _entry_of(request: HttpRequest) -> Entry | None:
    session: Any = request.session
    entry: Entry | None = getattr(session, "entry", None)
    return entry
