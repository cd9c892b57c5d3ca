"""Where each app's rows live, and which backups there are, for operators to look at."""

from __future__ import annotations

from django.contrib import admin
from django.template.defaultfilters import filesizeformat

from databases.admin_base import EndlessAdmin, MachineWrittenAdmin, link
from databases.models import BackupRun, Placement


@admin.register(Placement)
class PlacementAdmin(MachineWrittenAdmin[Placement]):
    """Written by `migrate_all` and by the commands that move or place an app."""

    list_display = ("app_label", "alias", "epoch", "left_existing", "decided_at")
    list_filter = ("alias", "left_existing")
    search_fields = ("app_label",)


@admin.register(BackupRun)
class BackupRunAdmin(EndlessAdmin[BackupRun]):
    """Written by the commands and tasks that back up."""

    list_display = ("requested_at", "state", "origin", "by", "size", "ended_at", "folder")
    list_filter = ("state", "origin")
    fields = (
        "state", "origin", "by", "requested_at", "started_at", "ended_at", "folder", "stores",
        "size", "error",
    )  # fmt: skip
    readonly_fields = ("by", "size")

    @admin.display(description="Requested by")
    def by(self, run: BackupRun) -> str:
        """Return a link to the user."""
        return link("accounts.user", run.requested_by)

    @admin.display(description="Size")
    def size(self, run: BackupRun) -> str:
        """Return the size for people."""
        return "–" if run.size_bytes is None else filesizeformat(run.size_bytes)
