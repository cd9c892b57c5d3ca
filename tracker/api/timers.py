"""Timers over HTTP."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router, Status

from common.access import signed_in, user_id_of
from common.schemas import Page
from tracker.api.caller import IdempotencyKey, answer_once
from tracker.models import Timer
from tracker.queries.own import timer_of, timers_of
from tracker.schemas import TimerAnswer, TimerBody, TimersQuery
from tracker.services import timers
from tracker.services.timers import TimerNotFound

router = Router()


@router.get("", response=Page[TimerAnswer], summary="Your timers, the newest first")
@signed_in("tracker")
def list_timers(request: HttpRequest, asked: Query[TimersQuery]) -> dict[str, Any]:
    """List the caller's timers."""
    page = timers_of(
        user_id=user_id_of(request), state=asked.state, cursor=asked.cursor, limit=asked.limit
    )
    at = timezone.now()
    return {
        "items": [_shown(timer, at) for timer in page.items],
        "next": page.next,
        "previous": page.previous,
    }


@router.post("", response={201: TimerAnswer}, summary="Start a timer")
@signed_in("tracker")
def start_timer(
    request: HttpRequest, response: HttpResponse, body: TimerBody, key: IdempotencyKey = None
) -> Any:
    """Start a timer; another one that runs must pause or stop first."""
    user_id = user_id_of(request)

    def start() -> dict[str, Any]:
        at = timezone.now()
        return _shown(timers.start_timer(user_id=user_id, label=body.label, at=at), at)

    return Status(201, answer_once(request, response, key, start, TimerAnswer, takes_body=True))


@router.get("/{uuid:timer_id}", response=TimerAnswer, summary="One of your timers")
@signed_in("tracker")
def get_timer(request: HttpRequest, timer_id: UUID) -> dict[str, Any]:
    """Show a timer."""
    found = timer_of(user_id=user_id_of(request), timer_id=timer_id)
    if found is None:
        raise TimerNotFound("There is no timer of yours with this id.")
    return _shown(found, timezone.now())


@router.post("/{uuid:timer_id}/pause", response=TimerAnswer, summary="Pause a timer")
@signed_in("tracker")
def pause_timer(
    request: HttpRequest, response: HttpResponse, timer_id: UUID, key: IdempotencyKey = None
) -> Any:
    """Stop counting for a while."""
    return _act(request, response, key, timers.pause_timer, timer_id)


@router.post("/{uuid:timer_id}/resume", response=TimerAnswer, summary="Resume a timer")
@signed_in("tracker")
def resume_timer(
    request: HttpRequest, response: HttpResponse, timer_id: UUID, key: IdempotencyKey = None
) -> Any:
    """Go on counting."""
    return _act(request, response, key, timers.resume_timer, timer_id)


@router.post("/{uuid:timer_id}/stop", response=TimerAnswer, summary="Stop a timer for good")
@signed_in("tracker")
def stop_timer(
    request: HttpRequest, response: HttpResponse, timer_id: UUID, key: IdempotencyKey = None
) -> Any:
    """End a timer."""
    return _act(request, response, key, timers.stop_timer, timer_id)


@router.delete("/{uuid:timer_id}", response={204: None}, summary="Delete a timer")
@signed_in("tracker")
def delete_timer(request: HttpRequest, timer_id: UUID) -> Status[None]:
    """Delete a timer with the time that it measured."""
    timers.delete_timer(user_id=user_id_of(request), timer_id=timer_id)
    return Status(204, None)


def _act(
    request: HttpRequest,
    response: HttpResponse,
    key: str | None,
    service: Callable[..., Timer],
    timer_id: UUID,
) -> Any:
    user_id = user_id_of(request)

    def perform() -> dict[str, Any]:
        at = timezone.now()
        return _shown(service(user_id=user_id, timer_id=timer_id, at=at), at)

    return answer_once(request, response, key, perform, TimerAnswer)


def _shown(timer: Timer, at: dt.datetime) -> dict[str, Any]:
    return {
        "id": timer.pk,
        "label": timer.label,
        "state": timer.state,
        "started_at": timer.started_at,
        "running_since": timer.running_since,
        "stopped_at": timer.stopped_at,
        "total_seconds": timer.total_seconds(at=at),
    }
