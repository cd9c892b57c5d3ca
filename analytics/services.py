"""How events and figures are added. They are accepted while their database is down."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db.models import Q

from accounts.leaving.registry import Holder, Leaver
from accounts.leaving.rows import rows_of, some_keys
from analytics.models import ActivityEvent, BusinessMetric, PerformanceMetric
from databases.transactions import atomic_for
from outbox import spool


def record_activity(
    *,
    name: str,
    occurred_at: datetime,
    source: ActivityEvent.Source = ActivityEvent.Source.WEB,
    user_id: uuid.UUID | None = None,
    customer_id: uuid.UUID | None = None,
    subject_type: str = "",
    subject_id: str = "",
    request_id: str = "",
    properties: Mapping[str, Any] | None = None,
) -> ActivityEvent:
    """Add something that somebody did.

    :param name: `aggregate.verb_in_past`, e.g. `page.viewed`.
    :param properties: what else there is to know, as JSON; no personal data.
    :returns: the event; it may be delivered later (`outbox.spool.add`).
    :raises django.db.IntegrityError: for a name of another form, when it is written at once.
    """
    return spool.add(
        ActivityEvent(
            name=name,
            source=source,
            user_id=user_id,
            customer_id=customer_id,
            subject_type=subject_type,
            subject_id=subject_id,
            request_id=request_id,
            properties=dict(properties or {}),
            occurred_at=occurred_at,
        )
    )


def record_business_metric(
    *,
    name: str,
    period: BusinessMetric.Period,
    period_starts_at: datetime,
    value: Decimal,
    unit: BusinessMetric.Unit = BusinessMetric.Unit.COUNT,
    currency: str = "",
    customer_id: uuid.UUID | None = None,
    dimension: str = "",
) -> BusinessMetric:
    """Add a computed figure, which its period, customer and dimension do not have yet.

    :param customer_id: None for all customers.
    :returns: the figure; it may be delivered later (`outbox.spool.add`).
    :raises django.db.IntegrityError: for a figure that is known, when it is written at once.
    """
    return spool.add(
        BusinessMetric(
            name=name,
            customer_id=customer_id,
            dimension=dimension,
            period=period,
            period_starts_at=period_starts_at,
            value=value,
            unit=unit,
            currency=currency,
        )
    )


def record_performance(
    *,
    name: str,
    window_starts_at: datetime,
    window_seconds: int = 60,
    target: str = "",
    instance: str = "",
    sample_count: int,
    error_count: int = 0,
    mean_ms: float,
    p50_ms: float,
    p95_ms: float,
    p99_ms: float,
    max_ms: float,
) -> PerformanceMetric:
    """Add how long something took within one window.

    :returns: the measurement; it may be delivered later (`outbox.spool.add`).
    :raises django.db.IntegrityError: for a window that is known, when it is written at once.
    """
    return spool.add(
        PerformanceMetric(
            name=name,
            target=target,
            instance=instance,
            window_starts_at=window_starts_at,
            window_seconds=window_seconds,
            sample_count=sample_count,
            error_count=error_count,
            mean_ms=mean_ms,
            p50_ms=p50_ms,
            p95_ms=p95_ms,
            p99_ms=p99_ms,
            max_ms=max_ms,
        )
    )


def forget_person(leaver: Leaver) -> None:
    """Make a person's activity nobody's; it still counts."""
    about = Q(user_id=leaver.user_id) | Q(subject_type="user", subject_id=str(leaver.user_id))
    for keys in some_keys(ActivityEvent, about):
        with atomic_for("analytics"):
            ActivityEvent.objects.filter(pk__in=keys).update(
                user_id=None, subject_type="", subject_id="", request_id="", properties={}
            )


HOLDER: Final = Holder(
    app_label="analytics",
    sections={
        "activity": lambda user_id: rows_of(ActivityEvent, "user_id", user_id=user_id),
    },
    forget=forget_person,
)
