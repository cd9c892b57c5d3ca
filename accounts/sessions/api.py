"""People see and end their own sessions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Status

from accounts.models import Session
from accounts.sessions import services
from accounts.sessions.current import current_session
from accounts.sessions.schemas import EndedAnswer, SessionAnswer
from accounts.throttling import client_of
from common.access import identify, signed_in
from common.pagination import page_of
from common.schemas import Page

router = Router(tags=["sessions"])


@router.get("", response=Page[SessionAnswer])
@signed_in("users:read")
def list_sessions(request: HttpRequest, cursor: str | None = None, limit: int = 50) -> Any:
    """List the caller's sessions, the newest first."""
    current = _current(request)
    page = page_of(
        services.sessions_of(_user_id(request), at=timezone.now()),
        cursor=cursor,
        limit=limit,
        by=("id",),
    )
    items = [_answer(row, current=row.pk == current) for row in page.items]
    return Page[SessionAnswer](items=items, next=page.next, previous=page.previous)


@router.delete("", response=EndedAnswer)
@signed_in("users:write")
def end_others(request: HttpRequest) -> Any:
    """End all of the caller's sessions but the one that asks; all, where a token asks."""
    ended = services.end_other_sessions(
        user_id=_user_id(request), keep=_current(request), client=client_of(request)
    )
    return EndedAnswer(ended=ended)


@router.delete("/{uuid:session_id}", response={204: None})
@signed_in("users:write")
def end_session(request: HttpRequest, session_id: UUID) -> Any:
    """End one of the caller's sessions, also the one that asks. It ends everywhere at once."""
    services.end_session(
        user_id=_user_id(request), session_id=session_id, client=client_of(request)
    )
    return Status(204, None)


def _user_id(request: HttpRequest) -> UUID:
    caller = identify(request)
    if caller is None or caller.user is None:
        raise services.SessionNotFound("A machine has no sessions.")
    user_id: UUID = caller.user.pk
    return user_id


def _current(request: HttpRequest) -> UUID | None:
    caller = identify(request)
    return current_session(request) if caller is not None and caller.by == "session" else None


def _answer(row: Session, *, current: bool) -> SessionAnswer:
    return SessionAnswer(
        id=row.pk,
        device=row.device,
        network=row.network,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        expires_at=row.expires_at,
        current=current,
    )
