"""Where each app's rows live, for operators to look at: commands decide it."""

from __future__ import annotations

from django.contrib import admin

from databases.admin_base import MachineWrittenAdmin
from databases.models import Placement


@admin.register(Placement)
class PlacementAdmin(MachineWrittenAdmin[Placement]):
    """Written by `migrate_all` and by the commands that move or place an app."""

    list_display = ("app_label", "alias", "epoch", "left_existing", "decided_at")
    list_filter = ("alias", "left_existing")
    search_fields = ("app_label",)
