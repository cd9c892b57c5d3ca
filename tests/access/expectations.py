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
TRACKER: Final = PEOPLE | {"tracker token"}
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
    "POST /api/geocode": PEOPLE,
    "GET /api/opportunity-zones/check": EVERYBODY,
    "POST /api/opportunity-zones/check": EVERYBODY,
    "GET /api/opportunity-zones/status": EVERYBODY,
    "GET /api/todos": TRACKER,
    "POST /api/todos": TRACKER,
    "GET /api/todos/{todo_id}": TRACKER,
    "PATCH /api/todos/{todo_id}": TRACKER,
    "DELETE /api/todos/{todo_id}": TRACKER,
    "GET /api/timers": TRACKER,
    "POST /api/timers": TRACKER,
    "GET /api/timers/{timer_id}": TRACKER,
    "DELETE /api/timers/{timer_id}": TRACKER,
    "POST /api/timers/{timer_id}/pause": TRACKER,
    "POST /api/timers/{timer_id}/resume": TRACKER,
    "POST /api/timers/{timer_id}/stop": TRACKER,
    "GET /api/friends": TRACKER,
    "GET /api/friends/{person_id}": TRACKER,
    "DELETE /api/friends/{person_id}": TRACKER,
    "POST /api/friends/{person_id}/request": TRACKER,
    "POST /api/friends/{person_id}/accept": TRACKER,
    "POST /api/friends/{person_id}/decline": TRACKER,
    "POST /api/friends/{person_id}/block": TRACKER,
    "GET /api/reports/daily": TRACKER,
    "GET /api/reports/daily/{day}": TRACKER,
    "PUT /api/reports/daily/{day}": TRACKER,
    "DELETE /api/reports/daily/{day}": TRACKER,
    "GET /api/reports/analytics": TRACKER,
    "GET /api/users/leaderboard": TRACKER,
    "GET /api/users/search": TRACKER,
    "GET /api/opportunity-zones/check/batch/{job_id}": PEOPLE,
    "GET /api/opportunity-zones/check/batch/{job_id}/items": PEOPLE,
    "GET /api/opportunity-zones/zones": EVERYBODY,
    "GET /api/opportunity-zones/zones/{geoid}": EVERYBODY,
    "POST /api/opportunity-zones/check/batch": EVERYBODY,
    "POST /api/opportunity-zones/refresh": BACKUPS,
    "GET /api/users": OPERATORS,
    "POST /api/users": OPERATORS,
    "GET /api/users/me": PEOPLE,
    "PATCH /api/users/me": PEOPLE,
    "GET /api/users/{user_id}": PEOPLE,
    "PATCH /api/users/{user_id}": OPERATORS,
    "GET /api/users/{user_id}/details": OPERATORS,
    "POST /api/users/{user_id}/deactivate": OPERATORS,
    "POST /api/users/{user_id}/reactivate": OPERATORS,
    "GET /api/auth/csrf": EVERYBODY,
    "POST /api/auth/login": EVERYBODY,
    "POST /api/auth/logout": EVERYBODY,
    "POST /api/auth/register": EVERYBODY,
    "POST /api/auth/verify-email": EVERYBODY,
    "POST /api/auth/verify-email/resend": EVERYBODY,
    "POST /api/auth/password/reset": EVERYBODY,
    "POST /api/auth/password/reset/confirm": EVERYBODY,
    "POST /api/auth/password/change": PEOPLE,
    "POST /api/auth/email/change": PEOPLE,
    "POST /api/auth/me/deactivate": PEOPLE,
    "POST /api/auth/me/delete": PEOPLE,
    "GET /api/auth/me/export": PEOPLE,
    "GET /api/auth/sessions": PEOPLE,
    "DELETE /api/auth/sessions": PEOPLE,
    "DELETE /api/auth/sessions/{session_id}": PEOPLE,
    "GET /api/auth/tokens": PEOPLE,
    "POST /api/auth/tokens": PEOPLE,
    "DELETE /api/auth/tokens/{token_id}": PEOPLE,
    "GET /api/conversations": PEOPLE,
    "POST /api/conversations": PEOPLE,
    "GET /api/conversations/{conversation_id}": PEOPLE,
    "POST /api/conversations/{conversation_id}/members": PEOPLE,
    "DELETE /api/conversations/{conversation_id}/members/{other_id}": PEOPLE,
    "GET /api/messages/search": PEOPLE,
    "GET /api/messages/{message_id}": PEOPLE,
    "PATCH /api/messages/{message_id}": PEOPLE,
    "DELETE /api/messages/{message_id}": PEOPLE,
    "GET /api/rooms/unread": PEOPLE,
    "GET /api/rooms/{room_id}/messages": PEOPLE,
    "POST /api/rooms/{room_id}/messages": PEOPLE,
    "PUT /api/rooms/{room_id}/read": PEOPLE,
    "GET /api/servers": PEOPLE,
    "POST /api/servers": PEOPLE,
    "POST /api/servers/{server_id}/channels": PEOPLE,
    "GET /api/servers/{server_id}/members": PEOPLE,
    "POST /api/servers/{server_id}/members": PEOPLE,
    "PATCH /api/servers/{server_id}/members/{other_id}": PEOPLE,
    "DELETE /api/servers/{server_id}/members/{other_id}": PEOPLE,
}
NOT_BY_THE_ALLOWED: Final = frozenset({
    "POST /api/opportunity-zones/refresh", "POST /api/auth/logout",
})  # fmt: skip
"""Those who may are not tried: they would begin work for minutes, or end their own session."""
BODIES: Final = {"POST /api/users": '{"email": "new@example.com"}'}
"""What is sent where an empty object would be refused before anybody asks who sends it."""
PARAMETERS: Final = {"day": "2026-01-01"}
"""Values of parameters of addresses that are no ids."""

# Pages, by the pattern of their address -----------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """How a page is asked for, and who gets it."""

    path: str
    to: Audience | None
    """None: it turns everybody alike away who comes without what it asks for, such as a client's
    secret."""
    method: str = "GET"


ALIKE: Final = None


def page(path: str, to: Audience | None, *, method: str = "GET") -> Page:
    """Return a page."""
    return Page(path=path, to=to, method=method)


PAGES: Final[dict[str, Page]] = {
    "": page("/", EVERYBODY),
    "favicon.ico": page("/favicon.ico", EVERYBODY),
    "health": page("/health", EVERYBODY),
    "metrics": page("/metrics", OPERATIONS),
    "api/docs": page("/api/docs", EVERYBODY),
    "api/openapi.json": page("/api/openapi.json", EVERYBODY),
    # Another process serves it, which asks as the API does; this one says where, to everybody.
    "api/rooms/<uuid:room_id>/stream": page(f"/api/rooms/{ID}/stream", ALIKE),
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
    "rooms/": page("/rooms/", PEOPLE),
    "rooms/<uuid:room_id>/": page(f"/rooms/{ID}/", PEOPLE),
    "zones/": page("/zones/", EVERYBODY),
    ".well-known/oauth-authorization-server": page(
        "/.well-known/oauth-authorization-server", EVERYBODY
    ),
    # A client's secret is asked for, not a session.
    "o/token": page("/o/token", ALIKE, method="POST"),
    "o/revoke": page("/o/revoke", ALIKE, method="POST"),
    "o/introspect": page("/o/introspect", ALIKE, method="POST"),
    "o/authorize": page("/o/authorize", PEOPLE),
    "account/": page("/account/", PEOPLE),
    "account/deactivate/": page("/account/deactivate/", PEOPLE),
    "account/delete/": page("/account/delete/", PEOPLE),
    "account/email/": page("/account/email/", PEOPLE),
    "account/export/": page("/account/export/", PEOPLE, method="POST"),
    "account/sessions/": page("/account/sessions/", PEOPLE),
    "account/sessions/<uuid:session_id>/end": page(
        f"/account/sessions/{ID}/end", PEOPLE, method="POST"
    ),
    "account/sessions/end-others": page("/account/sessions/end-others", PEOPLE, method="POST"),
    "account/tokens/": page("/account/tokens/", PEOPLE),
    "account/tokens/<uuid:token_id>/revoke": page(
        f"/account/tokens/{ID}/revoke", PEOPLE, method="POST"
    ),
    "account/applications/<uuid:client_id>/end": page(
        f"/account/applications/{ID}/end", PEOPLE, method="POST"
    ),
    "account/login/": page("/account/login/", EVERYBODY),
    "account/signup/": page("/account/signup/", EVERYBODY),
    "account/logout/": page("/account/logout/", EVERYBODY),
    "account/inactive/": page("/account/inactive/", EVERYBODY),
    "account/confirm-email/": page("/account/confirm-email/", EVERYBODY),
    r"account/^confirm-email/(?P<key>[-:\w]+)/$": page("/account/confirm-email/x/", EVERYBODY),
    "account/login/code/confirm/": page("/account/login/code/confirm/", ALIKE),
    "account/password/change/": page("/account/password/change/", PEOPLE),
    "account/password/set/": page("/account/password/set/", PEOPLE),
    "account/password/reset/": page("/account/password/reset/", EVERYBODY),
    "account/password/reset/done/": page("/account/password/reset/done/", EVERYBODY),
    r"account/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": page(
        "/account/password/reset/key/a-b/", EVERYBODY
    ),
    "account/password/reset/key/done/": page("/account/password/reset/key/done/", EVERYBODY),
    "account/reauthenticate/": page("/account/reauthenticate/", PEOPLE),
    "account/2fa/": page("/account/2fa/", PEOPLE),
    # Asks for the password first, and then for a code: sessions of the matrix proved neither.
    "account/2fa/authenticate/": page("/account/2fa/authenticate/", ALIKE),
    "account/2fa/reauthenticate/": page("/account/2fa/reauthenticate/", PEOPLE),
    "account/2fa/totp/activate/": page("/account/2fa/totp/activate/", PEOPLE),
    "account/2fa/totp/deactivate/": page("/account/2fa/totp/deactivate/", PEOPLE),
    "account/2fa/recovery-codes/": page("/account/2fa/recovery-codes/", PEOPLE),
    "account/2fa/recovery-codes/generate/": page("/account/2fa/recovery-codes/generate/", PEOPLE),
    "account/2fa/recovery-codes/download/": page("/account/2fa/recovery-codes/download/", PEOPLE),
    "account/3rdparty/": page("/account/3rdparty/", PEOPLE),
    "account/3rdparty/login/cancelled/": page("/account/3rdparty/login/cancelled/", EVERYBODY),
    "account/3rdparty/login/error/": page("/account/3rdparty/login/error/", ALIKE),
    "account/3rdparty/signup/": page("/account/3rdparty/signup/", ALIKE),
    "account/social/connections/": page("/account/social/connections/", EVERYBODY),
    "account/social/login/cancelled/": page("/account/social/login/cancelled/", EVERYBODY),
    "account/social/login/error/": page("/account/social/login/error/", EVERYBODY),
    "account/social/signup/": page("/account/social/signup/", ALIKE),
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
    "account.emailaddress": ("r", "r", "r", "r"),
    "accounts.accesstoken": ("or", "", "", ""),
    "accounts.authorization": ("or", "", "", ""),
    "accounts.authorizationcode": ("or", "", "", ""),
    "accounts.client": ("or", "or", "or", "or"),
    "accounts.personaltoken": ("or", "", "", ""),
    "accounts.refreshtoken": ("or", "", "", ""),
    "accounts.session": ("osr", "", "", ""),
    "accounts.user": ("oscr", "or", "or", "r"),
    "admin.logentry": ("ocr", "", "", ""),
    "analytics.activityevent": ("oar", "", "", ""),
    "analytics.businessmetric": ("oar", "ar", "ar", "r"),
    "analytics.performancemetric": ("oar", "", "", ""),
    "auth.group": ("or", "r", "r", "r"),
    "caches.dataset": ("osar", "", "", ""),
    "caches.geocode": ("osar", "", "", ""),
    "caches.run": ("osar", "", "", ""),
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
    "messaging.conversation": ("or", "", "", ""),
    "messaging.directmessage": ("or", "", "", ""),
    "messaging.groupmessage": ("or", "", "", ""),
    "messaging.reconciliation": ("or", "", "", ""),
    "messaging.server": ("or", "", "", ""),
    "outbox.deadletter": ("or", "", "", "or"),
    "outbox.outboxevent": ("or", "", "", "or"),
    "socialaccount.socialaccount": ("r", "r", "r", "r"),
    "socialaccount.socialtoken": ("r", "r", "r", "r"),
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
