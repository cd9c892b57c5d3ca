"""The outbox in the admin: what waits, what could not be delivered, and a way to put it back."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from databases.admin_base import EndlessAdmin, HomeAdmin
from databases.admin_navigation import add_page
from outbox import admin_page, upkeep
from outbox.events import MONGODB
from outbox.models import DeadLetter, OutboxEvent

add_page(admin_page.each_entry)


class _Deletable(EndlessAdmin[Any]):
    """Written by machines; those who hold the permission may delete.

    What an event brings to an app is shown to those alone who may look into that app.
    """

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the columns to show."""
        fields = super().get_fields(request, obj)
        if obj is None or obj.sink == MONGODB or request.user.has_module_perms(obj.sink):
            return fields
        return [name for name in fields if name != "payload"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say what the user's permissions say."""
        return HomeAdmin.has_delete_permission(self, request, obj)


@admin.register(OutboxEvent)
class OutboxEventAdmin(_Deletable):
    """Events that wait. To delete one has its change never reach the sink: `verify_sync` tells."""

    list_display = (
        *("id", "type", "aggregate_id", "sink", "attempts", "created_at", "next_at", "error"),
    )
    list_filter = ("sink", "aggregate_type")
    search_fields = ("=aggregate_id", "=type")


@admin.register(DeadLetter)
class DeadLetterAdmin(_Deletable):
    """Events that were tried too often."""

    list_display = ("id", "type", "aggregate_id", "sink", "attempts", "kind", "failed_at")
    list_filter = ("sink", "type", "kind")
    search_fields = ("=aggregate_id", "=type", "kind")
    actions = ("replay",)

    @admin.action(description="Put back into the queue", permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        """Put the selected dead letters back; each is an event again, with a new id."""
        letters = list(queryset)
        count = upkeep.replay(upkeep.dead_letters().filter(pk__in=[one.pk for one in letters]))
        self.log_deed(request, letters, "Put back into the queue.")
        messages.success(request, f"{count} events wait for delivery again.")

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may put dead letters back."""
        return request.user.has_perm("outbox.replay_deadletter")
