"""Which session a request came with."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest


def current_session(request: HttpRequest) -> UUID | None:
    """Return the id of the session that the request came with; None where it had none."""
    session: Any = request.session
    entry = getattr(session, "entry", None)
    return UUID(entry.id) if entry is not None else None
