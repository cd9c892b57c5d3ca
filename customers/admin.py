"""Business entities and subscriptions in the admin."""

from __future__ import annotations

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils import timezone

from customers import services
from customers.models import BusinessEntity, Subscription
from customers.querysets import BusinessEntityQuerySet, SubscriptionQuerySet
from databases.admin_base import HomeAdmin, ReadOnlyInline


class SubscriptionInline(ReadOnlyInline[Subscription, BusinessEntity]):
    """What the entity pays for; subscriptions have pages of their own."""

    model = Subscription
    fields = ("plan", "status", "seats", "price_cents", "currency", "current_period_ends_at")


@admin.register(BusinessEntity)
class BusinessEntityAdmin(HomeAdmin[BusinessEntity]):
    """Organisations that we do business with."""

    list_display = ("legal_name", "trading_name", "kind", "country", "status", "owner")
    list_filter = ("status", "kind", "country")
    list_select_related = ("owner",)
    search_fields = ("legal_name", "trading_name", "registration_number", "contact_email")
    date_hierarchy = "created_at"
    autocomplete_fields = ("owner",)
    readonly_fields = ("id", "created_at", "updated_at")
    inlines = (SubscriptionInline,)
    actions = ("suspend", "reinstate")

    @admin.action(description="Suspend the selected entities", permissions=["change"])
    def suspend(self, request: HttpRequest, queryset: BusinessEntityQuerySet) -> None:
        """Suspend those that are active."""
        chosen = list(queryset.filter(status=BusinessEntity.Status.ACTIVE))
        count = services.suspend_entities(entities=queryset, at=timezone.now())
        self.log_deed(request, chosen, "Suspended.")
        messages.success(request, f"{count} entities are suspended.")

    @admin.action(description="Reinstate the selected entities", permissions=["change"])
    def reinstate(self, request: HttpRequest, queryset: BusinessEntityQuerySet) -> None:
        """Make suspended ones active again."""
        chosen = list(queryset.filter(status=BusinessEntity.Status.SUSPENDED))
        count = services.reinstate_entities(entities=queryset, at=timezone.now())
        self.log_deed(request, chosen, "Reinstated.")
        messages.success(request, f"{count} entities are active again.")


@admin.register(Subscription)
class SubscriptionAdmin(HomeAdmin[Subscription]):
    """Who pays for what."""

    list_display = (
        "entity", "plan", "status", "seats", "price", "interval", "current_period_ends_at",
    )  # fmt: skip
    list_filter = ("status", "plan", "interval", "currency")
    list_select_related = ("entity",)
    search_fields = ("entity__legal_name", "entity__trading_name", "external_reference")
    date_hierarchy = "created_at"
    autocomplete_fields = ("entity",)
    readonly_fields = ("id", "canceled_at", "created_at", "updated_at")
    actions = ("cancel",)

    @admin.display(description="price", ordering="price_cents")
    def price(self, subscription: Subscription) -> str:
        """Show the price in the currency's own unit."""
        return f"{subscription.price_cents / 100:,.2f} {subscription.currency}"

    @admin.action(description="Cancel the selected subscriptions", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: SubscriptionQuerySet) -> None:
        """Cancel those that are live."""
        chosen = list(queryset.live().select_related("entity"))
        count = services.cancel_subscriptions(subscriptions=queryset, at=timezone.now())
        self.log_deed(request, chosen, "Canceled.")
        messages.success(request, f"{count} subscriptions are canceled.")
