"""Messaging in the admin: to look at, without what people wrote."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from databases.admin_base import EndlessAdmin, ReadOnlyInline, link
from messaging.models import (
    Channel,
    Conversation,
    ConversationMember,
    DirectMessage,
    GroupMessage,
    Membership,
    Reconciliation,
    Server,
)
from messaging.queries.overview import overview

_OF_MESSAGES = (
    "id", "member_id", "author_id", "deleted", "created_at", "updated_at", "rank",
)  # fmt: skip


class ChannelInline(ReadOnlyInline[Channel, Server]):
    """The channels of a server."""

    model = Channel
    fields = ("name", "created_at")
    show_change_link = False


class MembershipInline(ReadOnlyInline[Membership, Server]):
    """Who belongs to a server."""

    model = Membership
    fields = ("user", "role", "joined_at", "left_at")
    show_change_link = False


@admin.register(Server)
class ServerAdmin(EndlessAdmin[Server]):
    """Servers."""

    list_display = ("name", "id", "created_at")
    search_fields = ("=id",)
    search_help_text = "The id of a server."
    inlines = (ChannelInline, MembershipInline)


class MemberInline(ReadOnlyInline[ConversationMember, Conversation]):
    """Who takes part."""

    model = ConversationMember
    fields = ("user", "role", "joined_at", "left_at")
    show_change_link = False


@admin.register(Conversation)
class ConversationAdmin(EndlessAdmin[Conversation]):
    """Conversations."""

    list_display = ("__str__", "id", "created_at")
    search_fields = ("=id",)
    search_help_text = "The id of a conversation."
    inlines = (MemberInline,)


class _MessageAdmin(EndlessAdmin[Any]):
    """What is common to messages: their content is nobody's business here."""

    search_fields = ("=id", "=author_id")
    search_help_text = "The id of a message, or of its author."
    list_filter = ("deleted", "created_at")

    @admin.display(description="author")
    def author(self, row: DirectMessage | GroupMessage) -> str:
        """Link to the user."""
        return link("accounts.user", row.author_id)


@admin.register(DirectMessage)
class DirectMessageAdmin(_MessageAdmin):
    """The copies that PostgreSQL has of direct messages."""

    list_display = ("id", "conversation_id", "author", "deleted", "mongo_pending", "created_at")
    fields = (*_OF_MESSAGES, "conversation_id", "mongo_pending")


@admin.register(GroupMessage)
class GroupMessageAdmin(_MessageAdmin):
    """Group messages."""

    list_display = ("id", "channel", "author", "deleted", "created_at")
    fields = (*_OF_MESSAGES, "channel")


@admin.register(Reconciliation)
class ReconciliationAdmin(EndlessAdmin[Reconciliation]):
    """Comparisons of both stores; the page says how they are now."""

    list_display = (
        *("began_at", "ended_at", "scope", "repairs", "compared", "differences", "mended"),
    )
    list_filter = ("began_at", "repairs")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Say in the title how direct messages are served, and what waits."""
        found = overview().stores
        title = (
            f"Direct messages: {found.mode.value}; "
            f"{_count(found.waiting_for_mongodb)} wait for MongoDB, "
            f"{_count(found.waiting_for_postgresql)} for PostgreSQL"
        )
        return super().changelist_view(request, {**(extra_context or {}), "title": title})


def _count(number: int | None) -> str:
    return "an unknown number" if number is None else f"{number:,}"
