"""The admin's side bar: every registered model, under the database that is its declared home."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from databases import admin_page
from databases.aliases import SPECS, Alias, declared_home

ICONS = {
    "accounts.user": "person",
    "accounts.session": "devices",
    "accounts.client": "apps",
    "accounts.authorization": "handshake",
    "accounts.authorizationcode": "pin",
    "accounts.accesstoken": "key",
    "accounts.refreshtoken": "autorenew",
    "accounts.personaltoken": "vpn_key",
    "auth.group": "groups",
    "admin.logentry": "history",
    "customers.businessentity": "domain",
    "customers.subscription": "credit_card",
    "tracker.todo": "checklist",
    "tracker.timer": "timer",
    "tracker.friendship": "handshake",
    "tracker.dailyreport": "edit_calendar",
    "tracker.standing": "leaderboard",
    "tracker.pointsday": "calendar_month",
    "databases.placement": "database",
    "databases.backuprun": "backup",
    "outbox.outboxevent": "hourglass_empty",
    "outbox.deadletter": "mark_email_unread",
    "analytics.activityevent": "bolt",
    "analytics.businessmetric": "monitoring",
    "analytics.performancemetric": "speed",
    "documents.document": "description",
    "documents.documentversion": "file_copy",
    "documents.documentshare": "share",
    "documents.processingresult": "memory",
    "compliance.filing": "assignment",
    "compliance.legaldocument": "gavel",
    "compliance.auditrecord": "policy",
    "messaging.server": "dns",
    "messaging.channel": "tag",
    "messaging.membership": "badge",
    "messaging.conversation": "forum",
    "messaging.directmessage": "chat",
    "messaging.groupmessage": "chat_bubble",
    "messaging.reconciliation": "compare_arrows",
    "workspace.importbatch": "upload_file",
    "workspace.workspacerow": "table_rows",
    "workspace.referencerow": "list_alt",
}
APP_ICONS = {"caches": "map", "django_celery_beat": "schedule"}
APP_ORDER = (
    "accounts", "auth", "customers", "messaging", "tracker", "databases", "outbox",
    "django_celery_beat", "admin",
)  # fmt: skip


Entries = Callable[[HttpRequest], list[dict[str, Any]]]
_pages: Final[list[Entries]] = [admin_page.each_entry]


def add_page(entries: Entries) -> None:
    """Have the side bar show a page of an app's own, at the head of the primary's group.

    :param entries: given a request, returns title, icon and link, or nothing for those who may
        not look at it.
    """
    if entries not in _pages:
        _pages.append(entries)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups of the side bar, one per database, with what this user may look at."""
    by_home: dict[Alias, list[dict[str, Any]]] = defaultdict(list)
    for model in sorted(admin.site._registry, key=_place):
        if admin.site._registry[model].has_view_permission(request):
            by_home[declared_home(model._meta.app_label)].append(_item(model))
    pages = [entry for entries in _pages for entry in entries(request)]
    by_home[Alias.DEFAULT] = pages + by_home[Alias.DEFAULT]
    return [
        {"title": _title(home), "separator": True, "collapsible": False, "items": by_home[home]}
        for home in Alias
        if by_home[home]
    ]


def _title(home: Alias) -> str:
    return "Primary database" if home is Alias.DEFAULT else f"Database “{SPECS[home].name}”"


def _place(model: type[Model]) -> tuple[int, str, int]:
    label = model._meta.app_label
    rank = APP_ORDER.index(label) if label in APP_ORDER else len(APP_ORDER)
    # Within an app, the order in which people named the icons; unknown ones behind.
    icons = list(ICONS)
    named = model._meta.label_lower
    return rank, label, icons.index(named) if named in icons else len(icons)


def _item(model: type[Model]) -> dict[str, Any]:
    options = model._meta
    name = str(options.verbose_name_plural)
    return {
        "title": name[:1].upper() + name[1:],
        "icon": ICONS.get(options.label_lower) or APP_ICONS.get(options.app_label, "table"),
        "link": reverse(f"admin:{options.app_label}_{options.model_name}_changelist"),
    }
