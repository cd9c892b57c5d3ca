"""Timers: start, pause, resume, stop. At most one of a user runs; the database sees to it."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from common.errors import PolystoreError
from databases.transactions import atomic_for
from outbox.events import MONGODB
from outbox.recording import record_event
from outbox.wake import hint_after_commit
from tracker.models import Timer, TimerInterval
from tracker.services.standing import to_milliseconds, touch


class TimerNotFound(PolystoreError):
    """There is no such timer, or it is somebody else's."""

    code, status, title = "tracker.timer_not_found", 404, "No such timer"
    remedy = "List yours with GET /api/timers."


class AnotherTimerRuns(PolystoreError):
    """The user has a running timer, and there may be one only."""

    code, status, title = "tracker.another_timer_runs", 409, "Another timer is running"
    remedy = "Pause or stop the timer named in `runningId` first."


class TimerRefused(PolystoreError):
    """The timer is in a state that does not allow this."""

    code, status, title = "tracker.timer_refused", 409, "Not possible for this timer"
    remedy = "A running timer can pause or stop, a paused one resume or stop; stopped is for good."


def start_timer(*, user_id: UUID, at: dt.datetime, label: str = "") -> Timer:
    """Start a timer and return it.

    :param at: now.
    :raises AnotherTimerRuns: 409.
    """
    at = to_milliseconds(at)
    with atomic_for("tracker"):
        touch(user_id=user_id)
        _require_none_running(user_id)
        timer = Timer.objects.create(
            user_id=user_id,
            label=label,
            state=Timer.State.RUNNING,
            started_at=at,
            running_since=at,
            updated_at=at,
        )
        TimerInterval.objects.create(timer=timer, user_id=user_id, started_at=at)
        _record(timer, "started")
    return timer


def pause_timer(*, user_id: UUID, timer_id: UUID, at: dt.datetime) -> Timer:
    """Stop counting for a while. Raises TimerNotFound, or TimerRefused unless it runs."""
    at = to_milliseconds(at)
    with atomic_for("tracker"):
        timer = _locked(user_id=user_id, timer_id=timer_id)
        if timer.state != Timer.State.RUNNING:
            raise TimerRefused(f"The timer is {timer.state}, so that it cannot pause.")
        _end_interval(timer, at=at)
        timer.state = Timer.State.PAUSED
        _save(timer, "paused", at=at)
    return timer


def resume_timer(*, user_id: UUID, timer_id: UUID, at: dt.datetime) -> Timer:
    """Go on counting.

    :raises TimerNotFound: 404.
    :raises TimerRefused: unless it is paused.
    :raises AnotherTimerRuns: 409.
    """
    at = to_milliseconds(at)
    with atomic_for("tracker"):
        timer = _locked(user_id=user_id, timer_id=timer_id)
        if timer.state != Timer.State.PAUSED:
            raise TimerRefused(f"The timer is {timer.state}, so that it cannot resume.")
        _require_none_running(user_id)
        timer.state, timer.running_since = Timer.State.RUNNING, at
        TimerInterval.objects.create(timer=timer, user_id=user_id, started_at=at)
        _save(timer, "resumed", at=at)
    return timer


def stop_timer(*, user_id: UUID, timer_id: UUID, at: dt.datetime) -> Timer:
    """End a timer for good. Raises TimerNotFound, or TimerRefused where it is stopped."""
    at = to_milliseconds(at)
    with atomic_for("tracker"):
        timer = _locked(user_id=user_id, timer_id=timer_id)
        if timer.state == Timer.State.STOPPED:
            raise TimerRefused("The timer is stopped already.")
        if timer.state == Timer.State.RUNNING:
            _end_interval(timer, at=at)
        timer.state, timer.stopped_at = Timer.State.STOPPED, at
        _save(timer, "stopped", at=at)
    return timer


def delete_timer(*, user_id: UUID, timer_id: UUID) -> None:
    """Delete a timer with its times; the event comes from a trigger. Raises TimerNotFound."""
    with atomic_for("tracker"):
        _locked(user_id=user_id, timer_id=timer_id).delete()
        hint_after_commit(MONGODB)


def _require_none_running(user_id: UUID) -> None:
    running = Timer.objects.of(user_id).running().values_list("pk", flat=True).first()
    if running is not None:
        raise AnotherTimerRuns("A timer of yours is running.", running_id=running)


def _locked(*, user_id: UUID, timer_id: UUID) -> Timer:
    touch(user_id=user_id)
    timer = Timer.objects.of(user_id).filter(pk=timer_id).select_for_update().first()
    if timer is None:
        raise TimerNotFound("There is no timer of yours with this id.")
    return timer


def _end_interval(timer: Timer, *, at: dt.datetime) -> None:
    if timer.running_since is None:
        return
    # Clocks of two machines may differ: an interval never ends before it began.
    end = max(at, timer.running_since)
    timer.intervals.filter(ended_at=None).update(ended_at=end)
    timer.counted_ms += round((end - timer.running_since).total_seconds() * 1000)
    timer.running_since = None


def _save(timer: Timer, verb: str, *, at: dt.datetime) -> None:
    timer.updated_at = at
    timer.save()
    _record(timer, verb)


def _record(timer: Timer, verb: str) -> None:
    record_event(aggregate_type="timer", aggregate_id=timer.pk, event_type=f"timer.{verb}")
