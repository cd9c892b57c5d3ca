"""Business entities and what they pay for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import ProtectedError

from customers import services
from customers.models import BusinessEntity, Subscription
from tests.homes import databases_of, refused_by_the_database
from tests.people import a_user

pytestmark = pytest.mark.django_db(databases=databases_of("customers"))
AT = datetime(2026, 3, 1, tzinfo=UTC)


def an_entity(**fields: Any) -> BusinessEntity:
    owner = fields.pop("owner", None) or a_user()
    return BusinessEntity.objects.create(legal_name="Acme Inc.", owner=owner, **fields)


def a_subscription(entity: BusinessEntity, **fields: Any) -> Subscription:
    return Subscription.objects.create(
        entity=entity,
        **{
            "plan": "starter",
            "price_cents": 4_900,
            "current_period_starts_at": AT,
            "current_period_ends_at": AT + timedelta(days=30),
        }
        | fields,
    )


class TestAnEntity:
    def test_is_registered_once_in_a_country(self) -> None:
        first = an_entity(registration_number="12-345")

        with refused_by_the_database(BusinessEntity, "customers_entity_registered_once"):
            an_entity(owner=first.owner, registration_number="12-345")
        an_entity(owner=first.owner, registration_number="12-345", country="CA")
        an_entity(owner=first.owner)
        an_entity(owner=first.owner)

    def test_keeps_its_owner_from_being_deleted(self) -> None:
        acme = an_entity()

        with pytest.raises(ProtectedError):
            acme.owner.delete()

    def test_is_suspended_only_while_active_and_reinstated_only_while_suspended(self) -> None:
        active = an_entity(status="active")
        prospect = an_entity(owner=active.owner, status="prospect")

        suspended = services.suspend_entities(entities=BusinessEntity.objects.all(), at=AT)
        states = {row.pk: row.status for row in BusinessEntity.objects.all()}
        reinstated = services.reinstate_entities(entities=BusinessEntity.objects.all(), at=AT)

        assert (suspended, reinstated) == (1, 1)
        assert states == {active.pk: "suspended", prospect.pk: "prospect"}
        active.refresh_from_db()
        assert (active.status, active.updated_at) == ("active", AT)


class TestASubscription:
    def test_is_the_only_live_one_of_its_entity(self) -> None:
        acme = an_entity()
        a_subscription(acme, status="ended")
        a_subscription(acme, status="active")

        with refused_by_the_database(Subscription, "customers_subscription_one_live"):
            a_subscription(acme, status="past_due")

    def test_is_canceled_with_its_time(self) -> None:
        subscription = a_subscription(an_entity(), status="active")

        canceled = services.cancel_subscriptions(subscriptions=Subscription.objects.all(), at=AT)
        again = services.cancel_subscriptions(subscriptions=Subscription.objects.all(), at=AT)

        subscription.refresh_from_db()
        assert (canceled, again) == (1, 0)
        assert (subscription.status, subscription.canceled_at) == ("canceled", AT)
        assert not subscription.is_live

    def test_is_due_when_its_period_is_over(self) -> None:
        subscription = a_subscription(an_entity(), status="active")
        end = subscription.current_period_ends_at

        assert Subscription.objects.due_for_renewal(at=end).get() == subscription
        assert not Subscription.objects.due_for_renewal(at=end - timedelta(seconds=1)).exists()

    @pytest.mark.parametrize(
        ("fields", "constraint"),
        [
            ({"seats": 0}, "customers_subscription_seats"),
            ({"currency": "usd"}, "customers_subscription_currency_code"),
            ({"current_period_ends_at": AT}, "customers_subscription_period_order"),
            ({"status": "canceled"}, "customers_subscription_canceled_at"),
        ],
    )
    def test_that_makes_no_sense_is_refused_by_the_database(
        self, fields: dict[str, Any], constraint: str
    ) -> None:
        acme = an_entity()

        with refused_by_the_database(Subscription, constraint):
            a_subscription(acme, **fields)
