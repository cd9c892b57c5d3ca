"""Events and figures."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from analytics.models import ActivityEvent, BusinessMetric, PerformanceMetric
from tests.homes import databases_of, refused_by_the_database
from tests.people import a_superuser, a_user, signed_in

pytestmark = pytest.mark.django_db(databases=databases_of("analytics"))
AT = datetime(2026, 3, 1, tzinfo=UTC)


def a_figure(**fields: Any) -> BusinessMetric:
    return BusinessMetric.objects.create(
        **{"name": "sign_ups", "period_starts_at": AT, "value": Decimal(3)} | fields
    )


class TestABusinessFigure:
    @pytest.mark.parametrize("customer_id", [None, uuid.UUID(int=1)])
    def test_is_known_once_per_period_customer_and_dimension(
        self, customer_id: uuid.UUID | None
    ) -> None:
        a_figure(customer_id=customer_id)
        a_figure(customer_id=customer_id, dimension="plan:starter")
        a_figure(customer_id=customer_id, period="month")

        with refused_by_the_database(BusinessMetric, "analytics_metric_once"):
            a_figure(customer_id=customer_id)

    @pytest.mark.parametrize(("unit", "currency"), [("cents", ""), ("count", "USD")])
    def test_has_a_currency_exactly_where_it_counts_cents(self, unit: str, currency: str) -> None:
        with refused_by_the_database(BusinessMetric, "analytics_metric_currency_for_cents"):
            a_figure(unit=unit, currency=currency)

    def test_that_was_computed_cannot_be_changed_or_deleted_by_hand(self) -> None:
        computed = a_figure()
        address = f"/admin/analytics/businessmetric/{computed.pk}/"
        client = signed_in(a_superuser())

        assert client.get(address + "change/").status_code == 200
        assert client.post(address + "change/", {"value": "4"}).status_code == 403
        assert client.post(address + "delete/", {"post": "yes"}).status_code == 403
        answer = client.post(
            "/admin/analytics/businessmetric/",
            {"action": "delete_selected", "_selected_action": str(computed.pk), "post": "yes"},
        )
        assert answer.status_code == 403
        assert BusinessMetric.objects.get().value == 3

    def test_that_was_entered_by_hand_says_so(self) -> None:
        signed_in(a_superuser()).post(
            "/admin/analytics/businessmetric/add/",
            {
                "name": "revenue", "period": "month", "period_starts_at_0": "2026-01-01",
                "period_starts_at_1": "00:00:00", "value": "1250", "unit": "cents",
                "currency": "USD",
            },
        )  # fmt: skip

        figure = BusinessMetric.objects.entered_by_hand().get()
        page = signed_in(a_user("two@example.com", is_staff=True, is_superuser=True)).get(
            "/admin/analytics/businessmetric/"
        )
        assert figure.is_manual
        assert "12.50 USD" in page.content.decode()


class TestAnActivityEvent:
    def test_is_found_by_time_and_user(self) -> None:
        ada = a_user()
        for hours in range(3):
            ActivityEvent.objects.create(
                name="page.viewed", user_id=ada.pk, occurred_at=AT + timedelta(hours=hours)
            )
        ActivityEvent.objects.create(name="page.viewed", occurred_at=AT)

        found = ActivityEvent.objects.of_user(ada.pk).between(AT, AT + timedelta(hours=2))

        assert [event.occurred_at.hour for event in found] == [1, 0]

    def test_has_a_dotted_name(self) -> None:
        with refused_by_the_database(ActivityEvent, "analytics_event_name_dotted"):
            ActivityEvent.objects.create(name="Viewed", occurred_at=AT)

    def test_links_to_its_user_in_the_primary(self) -> None:
        ada = a_user()
        event = ActivityEvent.objects.create(
            name="page.viewed", user_id=ada.pk, occurred_at=AT, properties={"path": "/"}
        )
        client = signed_in(a_superuser())

        listed = client.get("/admin/analytics/activityevent/", {"q": "page.viewed"})
        page = client.get(f"/admin/analytics/activityevent/{event.pk}/change/")

        assert f"/admin/accounts/user/{ada.pk}/change/" in listed.content.decode()
        assert page.status_code == 200
        assert (
            client.post(
                f"/admin/analytics/activityevent/{event.pk}/change/", {"name": "x.y"}
            ).status_code
            == 403
        )


def test_percentiles_that_fall_are_refused_by_the_database() -> None:
    with refused_by_the_database(PerformanceMetric, "analytics_performance_percentiles_rise"):
        PerformanceMetric.objects.create(
            name="http.request", window_starts_at=AT, sample_count=2, mean_ms=1.0,
            p50_ms=2.0, p95_ms=1.0, p99_ms=3.0, max_ms=4.0,
        )  # fmt: skip
