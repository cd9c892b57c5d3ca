"""Who may call which operation, open which page, and do what in the admin: all of it, by hand.

Nothing here is computed from the code that it judges. What is not listed fails the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.access.callers import CALLERS, MACHINES, STAFF, STRANGERS

Audience = frozenset[str]

EVERYBODY: Final = frozenset(CALLERS)
NOBODY: Final[Audience] = frozenset()
PEOPLE: Final = EVERYBODY - STRANGERS - MACHINES
OPERATIONS: Final = frozenset({"operator", "staff without a role", "superuser", "collector"})
BACKUPS: Final = OPERATIONS - MACHINES
OPERATORS: Final = frozenset({"operator", "superuser"})

ID: Final = "01900000-0000-7000-8000-000000000001"

# The API, by operation ----------------------------------------------------------------------------

API: Final[dict[str, Audience]] = {
    "GET /api/health": EVERYBODY,
    "GET /api/health/databases": EVERYBODY,
    "GET /api/health/connections": OPERATIONS,
    "GET /api/health/sync": OPERATIONS,
    "POST /api/backup/full": BACKUPS,
    "GET /api/backup/{run_id}": BACKUPS,
    "GET /api/opportunity-zones/check": EVERYBODY,
    "POST /api/opportunity-zones/check": EVERYBODY,
    "GET /api/opportunity-zones/status": EVERYBODY,
    "GET /api/todos": PEOPLE,
    "POST /api/todos": PEOPLE,
    "GET /api/todos/{todo_id}": PEOPLE,
    "PATCH /api/todos/{todo_id}": PEOPLE,
    "DELETE /api/todos/{todo_id}": PEOPLE,
    "GET /api/timers": PEOPLE,
    "POST /api/timers": PEOPLE,
    "GET /api/timers/{timer_id}": PEOPLE,
    "DELETE /api/timers/{timer_id}": PEOPLE,
    "POST /api/timers/{timer_id}/pause": PEOPLE,
    "POST /api/timers/{timer_id}/resume": PEOPLE,
    "POST /api/timers/{timer_id}/stop": PEOPLE,
    "GET /api/friends": PEOPLE,
    "GET /api/friends/{person_id}": PEOPLE,
    "DELETE /api/friends/{person_id}": PEOPLE,
    "POST /api/friends/{person_id}/request": PEOPLE,
    "POST /api/friends/{person_id}/accept": PEOPLE,
    "POST /api/friends/{person_id}/decline": PEOPLE,
    "POST /api/friends/{person_id}/block": PEOPLE,
    "GET /api/reports/daily": PEOPLE,
    "GET /api/reports/daily/{day}": PEOPLE,
    "PUT /api/reports/daily/{day}": PEOPLE,
    "DELETE /api/reports/daily/{day}": PEOPLE,
    "GET /api/reports/analytics": PEOPLE,
    "GET /api/users/leaderboard": PEOPLE,
    "GET /api/users/search": PEOPLE,
}
PARAMETERS: Final = {"day": "2026-01-01"}
"""Values of parameters of addresses that are no ids."""

# Pages, by the pattern of their address -----------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """How a page is asked for, and who gets it."""

    path: str
    to: Audience
    method: str = "GET"


def page(path: str, to: Audience, *, method: str = "GET") -> Page:
    """Return a page."""
    return Page(path=path, to=to, method=method)


PAGES: Final[dict[str, Page]] = {
    "": page("/", EVERYBODY),
    "favicon.ico": page("/favicon.ico", EVERYBODY),
    "health": page("/health", EVERYBODY),
    "metrics": page("/metrics", OPERATIONS),
    "api/docs": page("/api/docs", EVERYBODY),
    "api/openapi.json": page("/api/openapi.json", EVERYBODY),
    "tracker/": page("/tracker/", PEOPLE),
    "tracker/todos": page("/tracker/todos", PEOPLE, method="POST"),
    "tracker/todos/<uuid:todo_id>/<str:verb>": page(
        f"/tracker/todos/{ID}/delete", PEOPLE, method="POST"
    ),
    "tracker/timers": page("/tracker/timers", PEOPLE, method="POST"),
    "tracker/timers/<uuid:timer_id>/<str:verb>": page(
        f"/tracker/timers/{ID}/stop", PEOPLE, method="POST"
    ),
    "tracker/report": page("/tracker/report", PEOPLE, method="POST"),
    "tracker/leaderboard": page("/tracker/leaderboard", PEOPLE),
    "tracker/friends": page("/tracker/friends", PEOPLE),
    "tracker/friends/<uuid:person_id>/<str:verb>": page(
        f"/tracker/friends/{ID}/request", PEOPLE, method="POST"
    ),
    "tracker/search": page("/tracker/search", PEOPLE),
    "tracker/analytics": page("/tracker/analytics", PEOPLE),
    "admin/": page("/admin/", STAFF),
    "admin/login/": page("/admin/login/", EVERYBODY),
    "admin/logout/": page("/admin/logout/", STAFF, method="POST"),
    "admin/password_change/": page("/admin/password_change/", STAFF),
    "admin/password_change/done/": page("/admin/password_change/done/", STAFF),
    # Leads to an object's page on the site; no model of ours has one.
    "admin/r/<path:content_type_id>/<path:object_id>/": page(f"/admin/r/1/{ID}/", STAFF),
    "admin/jsi18n/": page("/admin/jsi18n/", STAFF),
    "admin/search/": page("/admin/search/?s=x", STAFF),
    # Every field asks through the form of its own model, which no form of ours does.
    "admin/autocomplete/": page("/admin/autocomplete/", NOBODY),
    "admin/databases/overview/": page("/admin/databases/overview/", OPERATORS),
    "admin/outbox/overview/": page("/admin/outbox/overview/", OPERATORS),
    "admin/outbox/overview/switch/": page(
        "/admin/outbox/overview/switch/", OPERATORS, method="POST"
    ),
}
GENERATED: Final = frozenset({"admin/<app>/", "admin/<rest>"})
"""Patterns of Django's admin without a page of their own: lists of an app's models, which show what
one may look at, and the answer to addresses that do not exist."""

# The admin, by model ------------------------------------------------------------------------------

_WHO: Final = {
    "o": "operator", "s": "support", "a": "analyst", "c": "compliance officer", "r": "superuser",
}  # fmt: skip
_ADMIN: Final = {
    # Who may view, add, change, delete; letters as above, and none of the others.
    "accounts.user": ("oscr", "or", "or", "r"),
    "admin.logentry": ("ocr", "", "", ""),
    "analytics.activityevent": ("oar", "", "", ""),
    "analytics.businessmetric": ("oar", "ar", "ar", "r"),
    "analytics.performancemetric": ("oar", "", "", ""),
    "auth.group": ("or", "r", "r", "r"),
    "caches.dataset": ("osar", "", "", ""),
    "caches.zone": ("osar", "", "", ""),
    "compliance.auditrecord": ("c", "", "", ""),
    "compliance.filing": ("c", "c", "c", "c"),
    "compliance.legaldocument": ("c", "c", "c", "c"),
    "customers.businessentity": ("oscr", "or", "osr", "r"),
    "customers.subscription": ("oscr", "or", "osr", "r"),
    "databases.backuprun": ("or", "", "", ""),
    "databases.placement": ("or", "", "", ""),
    "django_celery_beat.clockedschedule": ("or", "or", "or", "or"),
    "django_celery_beat.crontabschedule": ("or", "or", "or", "or"),
    "django_celery_beat.intervalschedule": ("or", "or", "or", "or"),
    "django_celery_beat.periodictask": ("or", "or", "or", "or"),
    "django_celery_beat.solarschedule": ("or", "or", "or", "or"),
    "documents.document": ("osr", "r", "r", "r"),
    "documents.documentactivity": ("r", "", "", ""),
    "documents.documentshare": ("osr", "r", "r", "r"),
    "documents.documentversion": ("or", "", "", ""),
    "documents.processingresult": ("or", "", "", ""),
    "outbox.deadletter": ("or", "", "", "or"),
    "outbox.outboxevent": ("or", "", "", "or"),
    "tracker.dailyreport": ("osr", "", "", ""),
    "tracker.friendship": ("osr", "", "", ""),
    "tracker.pointsday": ("osar", "", "", ""),
    "tracker.standing": ("osar", "", "", ""),
    "tracker.timer": ("osr", "", "", ""),
    "tracker.todo": ("osr", "", "", ""),
    "workspace.importbatch": ("oar", "", "", ""),
    "workspace.referencerow": ("oar", "ar", "ar", "ar"),
    "workspace.workspacerow": ("oar", "", "", ""),
}
DEEDS: Final = ("view", "add", "change", "delete")
ADMIN: Final[dict[str, dict[str, Audience]]] = {
    model: {
        deed: frozenset(_WHO[letter] for letter in letters)
        for deed, letters in zip(DEEDS, columns, strict=True)
    }
    for model, columns in _ADMIN.items()
}
