"""Today: what is to be done, the timer, the report."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from tracker.models import DailyReport, Timer, Todo
from tracker.queries import own
from tracker.queries.own import TodoFilter
from tracker.services import reports, timers, todos
from tracker.views.forms import ReportForm, TimerForm, TodoForm, cleaned
from tracker.views.page import deed, form_of, page, shown, user_id_of

SHOWN = 50
DONE_SHOWN = 10


@page
def today(request: HttpRequest) -> HttpResponse:
    """Show open todos, what was done lately, timers that are not stopped, and today's report."""
    return _shown(request)


def _shown(request: HttpRequest, *, status: int = 200) -> HttpResponse:
    """Show the page; of a form that was refused, with what was typed into it."""
    typed = request.POST
    user_id = user_id_of(request)
    at, day = timezone.now(), timezone.localdate()
    open_todos = own.todos_of(
        user_id=user_id,
        which=TodoFilter(done=False),
        cursor=request.GET.get("cursor") or None,
        limit=SHOWN,
    )
    report = own.report_of(user_id=user_id, day=day)
    active = [timer for state in ("running", "paused") for timer in _timers(user_id, state)]
    context = {
        "todos": open_todos,
        "done": own.done_lately(user_id=user_id, limit=DONE_SHOWN),
        "timers": [(timer, timer.total_seconds(at=at)) for timer in active],
        "is_running": any(timer.state == "running" for timer in active),
        "report": report,
        "day": day,
        "typed": typed,
        "fields": _report_fields(report, day, typed),
        "moods": [str(mood) for mood in range(1, 6)],
        "priorities": Todo.Priority.choices,
        "here": "today",
    }
    return shown(request, "tracker/today.html", context, status=status)


@form_of(_shown)
def add_todo(request: HttpRequest) -> str:
    """Make a todo."""
    given = cleaned(TodoForm(request.POST))
    made = todos.create_todo(
        user_id=user_id_of(request),
        at=timezone.now(),
        title=given["title"],
        due_on=given["due_on"],
        priority=given["priority"] or "normal",
        points=10 if given["points"] is None else given["points"],
        tags=given["tags"],
    )
    return f"Added “{made.title}”."


@deed
def change_todo(request: HttpRequest, todo_id: UUID, verb: str) -> str:
    """Complete, open again or delete a todo."""
    user_id = user_id_of(request)
    if verb == "complete":
        done = todos.complete_todo(user_id=user_id, todo_id=todo_id, at=timezone.now())
        return f"Done: “{done.title}”, {done.points} points."
    if verb == "reopen":
        opened = todos.reopen_todo(user_id=user_id, todo_id=todo_id, at=timezone.now())
        return f"“{opened.title}” is open again."
    if verb == "delete":
        todos.delete_todo(user_id=user_id, todo_id=todo_id)
        return "The todo is deleted."
    raise Http404


@form_of(_shown)
def start_timer(request: HttpRequest) -> str:
    """Start a timer."""
    label = cleaned(TimerForm(request.POST))["label"]
    timers.start_timer(user_id=user_id_of(request), at=timezone.now(), label=label)
    return "The timer runs."


@deed
def change_timer(request: HttpRequest, timer_id: UUID, verb: str) -> str:
    """Pause, resume or stop a timer."""
    services = {
        "pause": (timers.pause_timer, "The timer pauses."),
        "resume": (timers.resume_timer, "The timer runs again."),
        "stop": (timers.stop_timer, "The timer is stopped."),
    }
    if verb not in services:
        raise Http404
    service, said = services[verb]
    service(user_id=user_id_of(request), timer_id=timer_id, at=timezone.now())
    return said


@form_of(_shown)
def file_report(request: HttpRequest) -> str:
    """File the report of a day."""
    given = cleaned(ReportForm(request.POST))
    day: dt.date = given["day"]
    reports.file_report(
        user_id=user_id_of(request),
        day=day,
        hours=given["hours"],
        mood=given["mood"],
        notes=given["notes"],
        at=timezone.now(),
    )
    return f"The report of {day:%d %B %Y} is filed."


def _report_fields(
    report: DailyReport | None, day: dt.date, typed: Mapping[str, str]
) -> dict[str, str]:
    """Return what the form of the report begins with."""
    fields = {"day": day.isoformat(), "hours": "", "mood": "", "notes": ""}
    if "hours" in typed:
        return {name: typed.get(name, "") for name in fields}
    if report is None:
        return fields
    return fields | {
        "hours": f"{report.hours:.2f}".removesuffix(".00"),
        "mood": str(report.mood or ""),
        "notes": report.notes,
    }


def _timers(user_id: UUID, state: str) -> list[Timer]:
    return own.timers_of(user_id=user_id, state=state, limit=10).items
