"""The vocabulary of analytics queries."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db import models

if TYPE_CHECKING:
    from analytics.models import ActivityEvent, BusinessMetric, PerformanceMetric


class ActivityEventQuerySet(models.QuerySet["ActivityEvent"]):
    """Questions about many activity events."""

    def between(self, start: datetime, end: datetime) -> Self:
        """Those that happened from `start` on and before `end`."""
        return self.filter(occurred_at__gte=start, occurred_at__lt=end)

    def of_user(self, user_id: uuid.UUID) -> Self:
        """What this user did."""
        return self.filter(user_id=user_id)


class BusinessMetricQuerySet(models.QuerySet["BusinessMetric"]):
    """Questions about many business figures."""

    def entered_by_hand(self) -> Self:
        """Those that people keep; all others are computed again and again."""
        return self.filter(source="manual")

    def of_the_site(self) -> Self:
        """Those that are about all customers together."""
        return self.filter(customer_id=None)


class PerformanceMetricQuerySet(models.QuerySet["PerformanceMetric"]):
    """Questions about many measurements."""

    def since(self, start: datetime) -> Self:
        """Those whose window starts at `start` or later."""
        return self.filter(window_starts_at__gte=start)
