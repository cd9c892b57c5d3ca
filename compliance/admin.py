"""Filings, legal texts and the audit trail in the admin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from accounts.audit.acting import network_of
from common import tracing
from compliance import services
from compliance.models import AuditRecord, Filing, LegalDocument
from compliance.querysets import FilingQuerySet, LegalDocumentQuerySet
from databases.admin_base import EndlessAdmin, HomeAdmin, link

AnyModel = TypeVar("AnyModel", bound=Model)


class WatchedAdmin(HomeAdmin[AnyModel]):
    """For closed data: each look is recorded before it is shown, and each that is refused.

    Where no record can be written, nothing is shown. Who may look, the user's role says
    (`accounts.roles`).
    """

    def get_queryset(self, request: HttpRequest) -> QuerySet[AnyModel]:
        """Return the rows; none for those who may not look, whichever page asks."""
        rows = super().get_queryset(request)
        return rows if self.has_view_or_change_permission(request) else rows.none()

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Show the list, or the page on which an action on some of them is confirmed."""
        view = super().changelist_view
        return self._watched(request, "listed", (), lambda: view(request, extra_context))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show one of them, or the form for a new one, which shows none."""
        view = super().changeform_view
        if object_id is None:
            return view(request, object_id, form_url, extra_context)
        return self._watched(
            request,
            "viewed",
            (object_id,),
            lambda: view(request, object_id, form_url, extra_context),
        )

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Show what would be deleted."""
        view = super().delete_view
        return self._watched(
            request, "viewed", (object_id,), lambda: view(request, object_id, extra_context)
        )

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Show what became of it."""
        view = super().history_view
        return self._watched(
            request,
            "history_viewed",
            (object_id,),
            lambda: view(request, object_id, extra_context),
        )

    def _watched(
        self,
        request: HttpRequest,
        how: str,
        subjects: Sequence[str],
        view: Callable[[], HttpResponseBase],
    ) -> HttpResponseBase:
        # Asked here first: some of Django's pages look for the row before they ask.
        if not self.has_view_or_change_permission(request):
            self._record(request, how, subjects, allowed=False)
            raise PermissionDenied
        answer = view()
        if answer.status_code == 200:
            self._record(request, how, subjects or _shown(request, answer), allowed=True)
        return answer

    def _record(
        self, request: HttpRequest, how: str, subjects: Sequence[str], *, allowed: bool
    ) -> None:
        services.record_look(
            at=timezone.now(),
            what=KINDS[self.model],
            how=how,
            actor_id=cast(UUID, request.user.pk),
            subject_ids=subjects,
            allowed=allowed,
            remote_address=network_of(request.META.get("REMOTE_ADDR", "")),
            request_id=tracing.current_request_id(),
        )


KINDS: dict[type[Model], str] = {
    Filing: "filing",
    LegalDocument: "legal_document",
    AuditRecord: "audit_record",
}
"""What the trail calls them."""


def _shown(request: HttpRequest, answer: HttpResponseBase) -> list[str]:
    """Return the ids of what a page lists, or of what was selected for an action."""
    listed = (getattr(answer, "context_data", None) or {}).get("cl")
    if listed is None:
        return request.POST.getlist("_selected_action")
    return [str(row.pk) for row in listed.result_list]


@admin.register(Filing)
class FilingAdmin(WatchedAdmin[Filing]):
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
class LegalDocumentAdmin(WatchedAdmin[LegalDocument]):
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
class AuditRecordAdmin(WatchedAdmin[AuditRecord], EndlessAdmin[AuditRecord]):
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
