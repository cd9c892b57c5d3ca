"""The tracker in the admin: to look at. People change their own things, through the services."""

from __future__ import annotations

from django.contrib import admin

from databases.admin_base import EndlessAdmin, ReadOnlyInline, link
from tracker.models import DailyReport, Friendship, PointsDay, Standing, Timer, TimerInterval, Todo


@admin.register(Todo)
class TodoAdmin(EndlessAdmin[Todo]):
    """What people want to do."""

    list_display = ("title", "owner", "priority", "points", "due_on", "completed_at", "created_at")
    list_filter = ("priority", "due_on", "completed_at")
    search_fields = ("=id", "=user__id", "=user__email")
    search_help_text = "The id of a todo, or the id or whole address of a user."

    @admin.display(description="user")
    def owner(self, row: Todo) -> str:
        """Link to the user."""
        return link("accounts.user", row.user_id)


class IntervalInline(ReadOnlyInline[TimerInterval, Timer]):
    """The times in which it ran."""

    model = TimerInterval
    fields = ("started_at", "ended_at")
    show_change_link = False


@admin.register(Timer)
class TimerAdmin(EndlessAdmin[Timer]):
    """Measured time."""

    list_display = ("__str__", "owner", "state", "started_at", "stopped_at", "counted_ms")
    list_filter = ("state", "started_at")
    search_fields = ("=id", "=user__id", "=user__email")
    search_help_text = "The id of a timer, or the id or whole address of a user."
    inlines = (IntervalInline,)

    @admin.display(description="user")
    def owner(self, row: Timer) -> str:
        """Link to the user."""
        return link("accounts.user", row.user_id)


@admin.register(Friendship)
class FriendshipAdmin(EndlessAdmin[Friendship]):
    """Who stands how to whom."""

    list_display = ("id", "one", "other_one", "status", "created_at", "updated_at")
    list_filter = ("status", "created_at")
    search_fields = ("=id", "=low__id", "=high__id", "=low__email", "=high__email")
    search_help_text = "The id of a friendship, or the id or whole address of a user."

    @admin.display(description="one")
    def one(self, row: Friendship) -> str:
        """Link to the one with the smaller id."""
        return link("accounts.user", row.low_id)

    @admin.display(description="other")
    def other_one(self, row: Friendship) -> str:
        """Link to the other one."""
        return link("accounts.user", row.high_id)


@admin.register(DailyReport)
class DailyReportAdmin(EndlessAdmin[DailyReport]):
    """What people say about their days."""

    list_display = ("day", "owner", "hours", "mood", "created_at", "updated_at")
    list_filter = ("mood", "day")
    search_fields = ("=id", "=user__id", "=user__email")
    search_help_text = "The id of a report, or the id or whole address of a user."

    @admin.display(description="user")
    def owner(self, row: DailyReport) -> str:
        """Link to the user."""
        return link("accounts.user", row.user_id)


@admin.register(Standing)
class StandingAdmin(EndlessAdmin[Standing]):
    """Everybody's points."""

    list_display = ("total_points", "owner", "wrote_at")
    search_fields = ("=user__id", "=user__email")
    search_help_text = "The id or whole address of a user."

    @admin.display(description="user")
    def owner(self, row: Standing) -> str:
        """Link to the user."""
        return link("accounts.user", row.user_id)


@admin.register(PointsDay)
class PointsDayAdmin(EndlessAdmin[PointsDay]):
    """The ledger of points."""

    list_display = ("day", "owner", "points")
    list_filter = ("day",)
    search_fields = ("=user__id", "=user__email")
    search_help_text = "The id or whole address of a user."

    @admin.display(description="user")
    def owner(self, row: PointsDay) -> str:
        """Link to the user."""
        return link("accounts.user", row.user_id)
