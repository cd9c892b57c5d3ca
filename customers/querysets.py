"""The vocabulary of customer queries."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db import models

if TYPE_CHECKING:
    from customers.models import BusinessEntity, Subscription

LIVE = ("trialing", "active", "past_due")
"""States in which a subscription gives access."""


class BusinessEntityQuerySet(models.QuerySet["BusinessEntity"]):
    """Questions about many business entities."""

    def open(self) -> Self:
        """Those that may still trade with us."""
        return self.exclude(status="closed")

    def owned_by(self, user_id: object) -> Self:
        """Those that this user speaks for."""
        return self.filter(owner_id=user_id)


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    """Questions about many subscriptions."""

    def live(self) -> Self:
        """Those that give access now."""
        return self.filter(status__in=LIVE)

    def due_for_renewal(self, *, at: datetime) -> Self:
        """Live ones whose paid period is over."""
        return self.live().filter(current_period_ends_at__lte=at)
