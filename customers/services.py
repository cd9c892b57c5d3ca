"""What can be done to business entities and subscriptions."""

from __future__ import annotations

from datetime import datetime
from functools import reduce
from operator import or_
from typing import Final

from django.db.models import Q

from accounts.leaving.registry import Holder, Leaver
from accounts.leaving.rows import rows_of, some_keys
from customers.models import BusinessEntity, Subscription
from customers.querysets import BusinessEntityQuerySet, SubscriptionQuerySet
from databases.transactions import atomic_for


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


def forget_person(leaver: Leaver) -> None:
    """Take a person's address off business entities, which stay: they are not theirs alone."""
    theirs = reduce(or_, (Q(contact_email__iexact=one) for one in leaver.addresses), Q(pk=None))
    for keys in some_keys(BusinessEntity, theirs):
        with atomic_for("customers"):
            BusinessEntity.objects.filter(pk__in=keys).update(contact_email="")


HOLDER: Final = Holder(
    app_label="customers",
    sections={
        "businessEntities": lambda user_id: rows_of(BusinessEntity, "owner_id", user_id=user_id),
    },
    forget=forget_person,
)
