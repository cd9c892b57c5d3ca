"""Filings, legal texts and the audit trail in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils import timezone

from compliance import services
from compliance.models import AuditRecord, Filing, LegalDocument
from compliance.querysets import FilingQuerySet, LegalDocumentQuerySet
from databases.admin_base import EndlessAdmin, HomeAdmin, link


@admin.register(Filing)
class FilingAdmin(HomeAdmin[Filing]):
    """What has to be filed, by when."""

    list_display = (
        "kind", "jurisdiction", "customer", "period_ends_on", "due_on", "status", "submitted_at",
    )  # fmt: skip
    list_filter = ("status", "kind", "jurisdiction", "due_on")
    search_fields = ("reference", "notes", "=customer_id")
    date_hierarchy = "due_on"
    readonly_fields = ("id", "submitted_at", "created_at", "updated_at")
    actions = ("submit",)

    @admin.display(description="customer")
    def customer(self, filing: Filing) -> str:
        """Link to the business entity in the primary."""
        return link("customers.businessentity", filing.customer_id)

    @admin.action(description="Mark the selected filings as submitted", permissions=["change"])
    def submit(self, request: HttpRequest, queryset: FilingQuerySet) -> None:
        """Note that the ready ones were handed in."""
        chosen = list(queryset.filter(status=Filing.Status.READY))
        count = services.submit_filings(filings=queryset, at=timezone.now())
        self.log_deed(request, chosen, "Submitted.")
        messages.success(request, f"{count} filings are submitted.")


@admin.register(LegalDocument)
class LegalDocumentAdmin(HomeAdmin[LegalDocument]):
    """Texts that bind people; published ones are read-only."""

    list_display = (
        "title", "kind", "locale", "version", "effective_from", "published_at", "retired_at",
    )  # fmt: skip
    list_filter = ("kind", "locale")
    search_fields = ("title", "version")
    readonly_fields = ("id", "published_at", "retired_at", "created_at", "updated_at")
    actions = ("publish", "retire")

    def get_list_filter(self, request: HttpRequest) -> Any:
        """Return the filters; whether a text is published is asked of its date."""
        return (*self.list_filter, ("published_at", admin.EmptyFieldListFilter))

    def has_change_permission(self, request: HttpRequest, obj: LegalDocument | None = None) -> bool:
        """Tell whether this text may still change."""
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or not obj.is_published)

    def has_delete_permission(self, request: HttpRequest, obj: LegalDocument | None = None) -> bool:
        """Tell whether this text may be deleted."""
        allowed = super().has_delete_permission(request, obj)
        return allowed and (obj is None or not obj.is_published)

    @admin.action(description="Publish the selected texts", permissions=["change"])
    def publish(self, request: HttpRequest, queryset: LegalDocumentQuerySet) -> None:
        """Publish those that are complete."""
        chosen = list(queryset.filter(published_at=None, effective_from__isnull=False))
        count = services.publish_legal_documents(texts=queryset, at=timezone.now())
        self.log_deed(request, chosen, "Published.")
        messages.success(request, f"{count} texts are published and no longer change.")

    @admin.action(description="Retire the selected texts", permissions=["change"])
    def retire(self, request: HttpRequest, queryset: LegalDocumentQuerySet) -> None:
        """End published ones now."""
        chosen = list(queryset.filter(published_at__isnull=False, retired_at=None))
        count = services.retire_legal_documents(texts=queryset, at=timezone.now())
        self.log_deed(request, chosen, "Retired.")
        messages.success(request, f"{count} texts are retired.")


@admin.register(AuditRecord)
class AuditRecordAdmin(EndlessAdmin[AuditRecord]):
    """Who did what: to look at, never to change."""

    list_display = (
        "occurred_at", "event_type", "outcome", "actor_kind", "actor", "subject_type",
        "subject_id", "remote_address",
    )  # fmt: skip
    list_filter = ("outcome", "actor_kind", "occurred_at")
    search_fields = ("=event_type", "=subject_id", "=request_id")
    search_help_text = "An exact event type, subject id or request id."

    @admin.display(description="actor")
    def actor(self, record: AuditRecord) -> str:
        """Link to the user in the primary; API clients have no page."""
        is_user = record.actor_kind == AuditRecord.ActorKind.USER
        return link("accounts.user", record.actor_id) if is_user else str(record.actor_id or "–")
