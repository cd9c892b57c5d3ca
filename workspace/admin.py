"""Bulk rows in the admin: imports to look at and to cancel, reference lists to keep."""

from __future__ import annotations

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils import timezone

from databases.admin_base import EndlessAdmin, HomeAdmin, MachineWrittenAdmin, link
from workspace import services
from workspace.models import ImportBatch, ReferenceRow, WorkspaceRow
from workspace.querysets import ImportBatchQuerySet


@admin.register(ImportBatch)
class ImportBatchAdmin(MachineWrittenAdmin[ImportBatch]):
    """Files that were, are or will be imported."""

    list_display = (
        "source_name", "format", "status", "created_by", "total_rows", "imported_rows",
        "rejected_rows", "created_at", "finished_at",
    )  # fmt: skip
    list_filter = ("status", "format", "created_at")
    search_fields = ("source_name", "=created_by_id", "=customer_id", "=sha256")
    date_hierarchy = "created_at"
    actions = ("cancel",)

    @admin.display(description="created by")
    def created_by(self, batch: ImportBatch) -> str:
        """Link to the user in the primary."""
        return link("accounts.user", batch.created_by_id)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Tell whether this operator may cancel imports: whoever might change them."""
        return request.user.has_perm("workspace.change_importbatch")

    @admin.action(description="Cancel the selected imports", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: ImportBatchQuerySet) -> None:
        """Cancel those that are not finished."""
        chosen = list(queryset.unfinished())
        count = services.cancel_imports(batches=queryset, at=timezone.now())
        self.log_deed(request, chosen, "Canceled.")
        messages.success(request, f"{count} imports are canceled.")


@admin.register(WorkspaceRow)
class WorkspaceRowAdmin(EndlessAdmin[WorkspaceRow]):
    """Imported rows."""

    list_display = ("batch", "number", "status", "created_at")
    list_filter = ("status",)
    list_select_related = ("batch",)
    search_fields = ("=batch__id",)
    search_help_text = "The id of an import."


@admin.register(ReferenceRow)
class ReferenceRowAdmin(HomeAdmin[ReferenceRow]):
    """Lists that imports are checked against."""

    list_display = ("catalog", "key", "label", "valid_from", "valid_to")
    list_filter = ("valid_from",)
    search_fields = ("=catalog", "key", "label")
    readonly_fields = ("id", "created_at", "updated_at")
