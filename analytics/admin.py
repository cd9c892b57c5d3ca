"""Events and figures in the admin: to look at, but for the figures that people keep."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from analytics.models import ActivityEvent, BusinessMetric, PerformanceMetric
from databases.admin_base import EndlessAdmin, HomeAdmin, link


@admin.register(ActivityEvent)
class ActivityEventAdmin(EndlessAdmin[ActivityEvent]):
    """What people did."""

    list_display = ("occurred_at", "name", "source", "user", "subject_type", "subject_id")
    list_filter = ("source", "occurred_at")
    search_fields = ("=name", "=subject_id", "=request_id")
    search_help_text = "An exact name, subject id or request id."

    @admin.display(description="user")
    def user(self, event: ActivityEvent) -> str:
        """Link to the user in the primary."""
        return link("accounts.user", event.user_id)


@admin.register(BusinessMetric)
class BusinessMetricAdmin(HomeAdmin[BusinessMetric]):
    """Figures: computed ones are fixed; those entered here stay in people's hands."""

    list_display = (
        "name", "period_starts_at", "period", "dimension", "shown_value", "unit", "source",
        "customer",
    )  # fmt: skip
    list_filter = ("period", "unit", "source", "period_starts_at")
    search_fields = ("name", "dimension")
    date_hierarchy = "period_starts_at"
    readonly_fields = ("id", "source", "created_at", "updated_at")

    @admin.display(description="value", ordering="value")
    def shown_value(self, metric: BusinessMetric) -> str:
        """Show money in the currency's own unit, all else without needless zeros."""
        if metric.unit == BusinessMetric.Unit.CENTS:
            return f"{metric.value / 100:,.2f} {metric.currency}"
        return f"{metric.value.normalize():,f}"

    @admin.display(description="customer")
    def customer(self, metric: BusinessMetric) -> str:
        """Link to the customer in the primary."""
        return link("customers.businessentity", metric.customer_id)

    def save_model(
        self,
        request: HttpRequest,
        obj: BusinessMetric,
        form: forms.ModelForm[BusinessMetric],
        change: bool,  # noqa: FBT001 - Django's own signature
    ) -> None:
        """Save; what is entered here is marked as entered by hand."""
        obj.source = BusinessMetric.Source.MANUAL
        super().save_model(request, obj, form, change)

    def has_change_permission(
        self, request: HttpRequest, obj: BusinessMetric | None = None
    ) -> bool:
        """Tell whether this figure may be changed by hand."""
        return super().has_change_permission(request, obj) and (obj is None or obj.is_manual)

    def has_delete_permission(
        self, request: HttpRequest, obj: BusinessMetric | None = None
    ) -> bool:
        """Tell whether this figure may be deleted by hand."""
        return super().has_delete_permission(request, obj) and (obj is None or obj.is_manual)


@admin.register(PerformanceMetric)
class PerformanceMetricAdmin(EndlessAdmin[PerformanceMetric]):
    """How long things took."""

    list_display = (
        "window_starts_at", "name", "target", "instance", "sample_count", "error_count",
        "p50_ms", "p95_ms", "p99_ms", "max_ms",
    )  # fmt: skip
    list_filter = ("window_starts_at",)
    search_fields = ("name", "target", "instance")
