"""Documents in the admin: their standing is in people's hands, their bytes are not."""

from __future__ import annotations

from django.contrib import admin, messages
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from databases.admin_base import (
    EndlessAdmin,
    HomeAdmin,
    MachineWrittenAdmin,
    ReadOnlyInline,
    link,
)
from documents import services
from documents.models import (
    Document,
    DocumentActivity,
    DocumentShare,
    DocumentVersion,
    ProcessingResult,
)
from documents.querysets import DocumentQuerySet, DocumentShareQuerySet


class DocumentVersionInline(ReadOnlyInline[DocumentVersion, Document]):
    """The states of its bytes."""

    model = DocumentVersion
    fields = ("number", "file_name", "media_type", "size_bytes", "created_at")
    ordering = ("-number",)


class ProcessingResultInline(ReadOnlyInline[ProcessingResult, DocumentVersion]):
    """What processors made of it."""

    model = ProcessingResult
    fields = ("processor", "attempt", "status", "started_at", "finished_at")


@admin.register(Document)
class DocumentAdmin(HomeAdmin[Document]):
    """Documents, each with its versions."""

    list_display = ("title", "kind", "status", "owner", "customer", "created_at")
    list_filter = ("status", "kind", "created_at")
    search_fields = ("title", "description", "=owner_id", "=customer_id")
    date_hierarchy = "created_at"
    readonly_fields = ("id", "created_at", "updated_at")
    inlines = (DocumentVersionInline,)
    actions = ("archive", "restore")

    @admin.display(description="owner")
    def owner(self, document: Document) -> str:
        """Link to the user in the primary."""
        return link("accounts.user", document.owner_id)

    @admin.display(description="customer")
    def customer(self, document: Document) -> str:
        """Link to the business entity in the primary."""
        return link("customers.businessentity", document.customer_id)

    @admin.action(description="Archive the selected documents", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: DocumentQuerySet) -> None:
        """Put them out of sight."""
        chosen = list(queryset.exclude(status__in=["archived", "deleted"]))
        count = services.archive_documents(documents=queryset, at=timezone.now())
        self.log_deed(request, chosen, "Archived.")
        messages.success(request, f"{count} documents are archived.")

    @admin.action(description="Restore the selected documents", permissions=["change"])
    def restore(self, request: HttpRequest, queryset: DocumentQuerySet) -> None:
        """Bring them back."""
        chosen = list(queryset.filter(status__in=["archived", "deleted"]))
        count = services.restore_documents(documents=queryset, at=timezone.now())
        self.log_deed(request, chosen, "Restored.")
        messages.success(request, f"{count} documents are active again.")


@admin.register(DocumentVersion)
class DocumentVersionAdmin(MachineWrittenAdmin[DocumentVersion]):
    """Uploads."""

    list_display = ("file_name", "number", "document", "media_type", "size", "created_at")
    list_filter = ("created_at",)
    list_select_related = ("document",)
    search_fields = ("file_name", "document__title", "=sha256")
    date_hierarchy = "created_at"
    inlines = (ProcessingResultInline,)

    @admin.display(description="size", ordering="size_bytes")
    def size(self, version: DocumentVersion) -> str:
        """Show the size for people."""
        return filesizeformat(version.size_bytes)


@admin.register(DocumentShare)
class DocumentShareAdmin(HomeAdmin[DocumentShare]):
    """Who may see what. Links are made by the program, which alone shows their secret once."""

    list_display = (
        "document", "recipient", "permission", "created_at", "expires_at", "revoked_at",
    )  # fmt: skip
    list_filter = ("permission", "created_at")
    list_select_related = ("document",)
    search_fields = ("document__title", "=recipient_id")
    fields = (
        "document", "recipient_id", "permission", "shared_by_id", "expires_at", "revoked_at",
        "created_at",
    )  # fmt: skip
    readonly_fields = ("revoked_at", "created_at")
    autocomplete_fields = ("document",)
    actions = ("revoke",)

    @admin.display(description="recipient")
    def recipient(self, share: DocumentShare) -> str:
        """Link to the user in the primary, or say that it is a link."""
        return link("accounts.user", share.recipient_id) if share.recipient_id else "by link"

    @admin.action(description="Revoke the selected shares", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: DocumentShareQuerySet) -> None:
        """End them now."""
        chosen = list(queryset.filter(revoked_at=None))
        count = services.revoke_shares(shares=queryset, at=timezone.now())
        self.log_deed(request, chosen, "Revoked.")
        messages.success(request, f"{count} shares are revoked.")


@admin.register(ProcessingResult)
class ProcessingResultAdmin(MachineWrittenAdmin[ProcessingResult]):
    """What processors made of uploads."""

    list_display = ("version", "processor", "attempt", "status", "created_at", "finished_at")
    list_filter = ("status", "processor", "created_at")
    list_select_related = ("version",)
    search_fields = ("version__file_name", "error")


@admin.register(DocumentActivity)
class DocumentActivityAdmin(EndlessAdmin[DocumentActivity]):
    """Who did what to which document: to look at, never to change."""

    list_display = ("occurred_at", "deed", "to", "actor")
    list_filter = ("deed", "occurred_at")
    search_fields = ("=document__id", "=actor_id", "=request_id")
    search_help_text = "An exact document id, user id or request id."
    # Not the document itself: it may be gone.
    fields = (
        "id", "occurred_at", "deed", "to", "actor", "detail", "request_id", "recorded_at",
    )  # fmt: skip
    readonly_fields = ("to", "actor")

    @admin.display(description="document")
    def to(self, activity: DocumentActivity) -> str:
        """Link to the document, which may be gone."""
        return link("documents.document", activity.document_id)

    @admin.display(description="actor")
    def actor(self, activity: DocumentActivity) -> str:
        """Link to the user in the primary."""
        return link("accounts.user", activity.actor_id)
