"""What can be done to business entities and subscriptions."""

from __future__ import annotations

from datetime import datetime

from customers.models import BusinessEntity, Subscription
from customers.querysets import BusinessEntityQuerySet, SubscriptionQuerySet


def suspend_entities(*, entities: BusinessEntityQuerySet, at: datetime) -> int:
    """Suspend active entities; prospects and closed ones stay what they are.

    :param at: now.
    :returns: how many were active until now.
    """
    active = entities.filter(status=BusinessEntity.Status.ACTIVE)
    return active.update(status=BusinessEntity.Status.SUSPENDED, updated_at=at)


def reinstate_entities(*, entities: BusinessEntityQuerySet, at: datetime) -> int:
    """Make suspended entities active again.

    :param at: now.
    :returns: how many were suspended until now.
    """
    suspended = entities.filter(status=BusinessEntity.Status.SUSPENDED)
    return suspended.update(status=BusinessEntity.Status.ACTIVE, updated_at=at)


def cancel_subscriptions(*, subscriptions: SubscriptionQuerySet, at: datetime) -> int:
    """Cancel live subscriptions at once.

    :param at: now.
    :returns: how many were live until now.
    """
    return subscriptions.live().update(
        status=Subscription.Status.CANCELED, canceled_at=at, updated_at=at
    )
