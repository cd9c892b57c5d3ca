"""Sessions in the admin: to look at, and to end."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest

from accounts.models import Session
from accounts.querysets import SessionQuerySet
from accounts.sessions import services
from accounts.throttling import client_of
from databases.admin_base import EndlessAdmin


@admin.register(Session)
class SessionAdmin(EndlessAdmin[Session]):
    """Who is signed in where. Whoever may delete sessions may end them."""

    list_display = ("user", "device", "network", "created_at", "last_seen_at", "expires_at")
    list_filter = ("last_seen_at",)
    list_select_related = ("user",)
    search_fields = ("user__email",)
    ordering = ("-id",)
    fields = ("user", "device", "network", "created_at", "last_seen_at", "expires_at")
    actions = ("end",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the sessions of people: strangers' have nothing to show."""
        return super().get_queryset(request).filter(user__isnull=False)

    def has_end_permission(self, request: HttpRequest) -> bool:
        """Tell whether this operator may end sessions."""
        return bool(request.user.has_perm("accounts.delete_session"))

    @admin.action(description="End the selected sessions", permissions=["end"])
    def end(self, request: HttpRequest, queryset: SessionQuerySet) -> None:
        """Sign these browsers out, everywhere at once."""
        chosen = list(queryset)
        count = services.end_sessions(
            sessions=queryset, actor_id=request.user.pk, client=client_of(request)
        )
        self.log_deed(request, chosen, "Ended.")
        messages.success(request, f"{count} sessions ended.")
